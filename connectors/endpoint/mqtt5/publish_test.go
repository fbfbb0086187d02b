package mqtt5

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	mochi "github.com/mochi-mqtt/server/v2"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestAppendPublish_ReadByAnotherDecoder(t *testing.T) {
	t.Parallel()
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1})
	for _, size := range []int{0, 1, 100, 127, 128, 16_383, 16_384, 3 << 20} {
		payload := bytes.Repeat([]byte{'x'}, size)
		o := outgoing{topic: "a/b", responseTopic: "r", qos: 1, retain: true, expiry: 70, contentType: []byte("text/plain"), span: span,
			headers: []message.Header{{Name: "A", Value: []byte("1")}, {Name: "TraceParent", Value: []byte("theirs")},
				{Name: "A", Value: []byte("tab\there \xe9\x00")}},
			payload: payload}
		frame, _, at, err := appendPublish(nil, nil, &o)
		if err != nil {
			t.Fatal(err)
		}
		frame[at], frame[at+1] = 0x12, 0x34
		p, err := packets.ReadPacket(bytes.NewReader(frame))
		if err != nil {
			t.Fatal(err)
		}
		got := p.Content.(*packets.Publish)
		users := fmt.Sprint(got.Properties.User)
		const want = "[{A 1} {A tab here é\uFFFD} {traceparent 00-01000000000000000000000000000000-0200000000000000-01}]"
		if got.Topic != "a/b" || got.QoS != 1 || !got.Retain || got.PacketID != 0x1234 || !bytes.Equal(got.Payload, payload) ||
			*got.Properties.MessageExpiry != 70 || got.Properties.ContentType != "text/plain" || got.Properties.ResponseTopic != "r" || users != want {
			t.Errorf("size %d: %s", size, users)
		}
	}
	o := outgoing{topic: "a", expiry: noExpiry, headers: []message.Header{{Name: "a", Value: make([]byte, maxText+1)}}}
	if _, _, _, err := appendPublish(nil, nil, &o); err != errTextTooLong {
		t.Errorf("a header too long: %v", err)
	}
}

func TestPublish_Properties(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	got := b.received(t, "#")
	e := run(t, config(b.addr, "out", `,"producer":{"retained":true,"responseTopic":"answers","messageExpiryInterval":60}`), connectors.Limits{})
	for _, q := range []qos.Level{qos.None, qos.Auto} {
		if err := publish(t, e, level(q), "hello", func(m *message.Message) {
			m.Headers = append(m.Headers, message.Header{Name: "Content-Type", Value: []byte("text/plain")}, message.Header{Name: "X", Value: []byte("1")})
		}); err != nil {
			t.Fatal(err)
		}
		p := next(t, got)
		if p.TopicName != "out" || string(p.Payload) != "hello" || p.Properties.ResponseTopic != "answers" ||
			p.Properties.MessageExpiryInterval != 60 || p.Properties.ContentType != "text/plain" ||
			fmt.Sprint(p.Properties.User) != "[{Content-Type text/plain} {X 1}]" {
			t.Errorf("%s: %+v", q, p)
		}
	}
	if _, ok := b.Topics.Retained.Get("out"); !ok {
		t.Error("not retained")
	}
}

func TestPublish_TopicByAttribute(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	got := b.received(t, "#")
	e := run(t, config(b.addr, "configured", ""), connectors.Limits{})
	for _, c := range []struct {
		name, onMessage, onExchange string
		value                       string
		want                        string
	}{
		{name: "message", onMessage: "gravitee.attribute.mqtt5.topic", onExchange: "mqtt5.topic", want: "by-message"},
		{name: "exchange", onExchange: "gravitee.attribute.mqtt5.topic", want: "by-exchange"},
		{name: "endpoint attribute", onExchange: "gravitee.attributes.endpoint.mqtt5.producer.topic", want: "by-exchange"},
		{name: "configuration", want: "configured"},
	} {
		x := level(qos.Auto)
		if c.onExchange != "" {
			x.SetAttribute(c.onExchange, "by-exchange")
		}
		if err := publish(t, e, x, c.name, func(m *message.Message) {
			if c.onMessage != "" {
				m.Attributes = map[string]any{c.onMessage: "by-message"}
			}
		}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if p := next(t, got); p.TopicName != c.want {
			t.Errorf("%s: published to %s", c.name, p.TopicName)
		}
	}
	for _, bad := range []string{"", "a/#", "+", "nul\x00", "tab\t"} {
		x := level(qos.Auto)
		x.SetAttribute("mqtt5.topic", bad)
		failed(t, publish(t, e, x, "", nil), 500, message.KeyConfigurationInvalid)
	}
}

func TestPublish_WhatTheBrokerTakes(t *testing.T) {
	t.Parallel()
	caps := mochi.NewDefaultServerCapabilities()
	caps.ReceiveMaximum = 3
	b := startBroker(t, "", &mochi.Options{Capabilities: caps})
	e := run(t, config(b.addr, "t", ""), connectors.Limits{})
	var all []ack
	for i := range 500 {
		all = append(all, send(t.Context(), e, level(qos.Auto), fmt.Sprint(i), nil))
	}
	for _, a := range all {
		if err := next(t, a); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.stats.connects.Load(); n != 1 {
		t.Errorf("%d connections; the limits were not kept", n)
	}
}

func TestPublish_BrokerDownAndBack(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	e := run(t, config(b.addr, "t", ""), connectors.Limits{ProduceTimeout: 300 * time.Millisecond})
	if err := publish(t, e, level(qos.Auto), "1", nil); err != nil {
		t.Fatal(err)
	}
	b.end()
	for connected := true; connected; { // what is written before we notice has an unknown outcome
		e.out.mu.Lock()
		connected = e.out.link != nil
		e.out.mu.Unlock()
	}
	begun := time.Now()
	failed(t, publish(t, e, level(qos.Auto), "2", nil), 503, message.KeyConnectionFailed)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("answered after %s", took)
	}
	if err := publish(t, e, level(qos.None), "lost", nil); err != nil {
		t.Errorf("none: %v", err)
	}
	b = startBroker(t, b.addr, nil)
	got := b.received(t, "t")
	e.limits.ProduceTimeout = 10 * time.Second // the first must succeed, however late the connection comes
	if err := publish(t, e, level(qos.Auto), "3", nil); err != nil {
		t.Fatal(err)
	}
	for string(next(t, got).Payload) != "3" { // "lost" may have come through
	}
}

// mute greets and then never acknowledges.
func mute(t *testing.T, can packets.Properties) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := packets.ReadPacket(conn); err == nil {
				hello := packets.NewControlPacket(packets.CONNACK)
				hello.Content.(*packets.Connack).Properties = &can
				_, _ = hello.WriteTo(conn)
			}
		}
	}()
	return ln.Addr().String()
}

func TestPublish_NoAcknowledgementIsUnknown(t *testing.T) {
	t.Parallel()
	e := run(t, config(mute(t, packets.Properties{}), "t", ""), connectors.Limits{ProduceTimeout: 200 * time.Millisecond, Drain: 100 * time.Millisecond})
	if f := failed(t, publish(t, e, level(qos.Auto), "1", nil), 504, message.KeyOutcomeUnknown); !f.Unknown {
		t.Error("not marked as unknown")
	}
}

func TestPublish_WhatTheBrokerCannotTake(t *testing.T) {
	t.Parallel()
	most, none := uint32(1000), byte(0)
	for _, c := range []struct {
		name   string
		can    packets.Properties
		more   string
		size   int
		status int
		key    string
	}{
		{"size", packets.Properties{MaximumPacketSize: &most}, "", 1000, 413, message.KeyPublishFailed},
		{"QoS 1", packets.Properties{MaximumQOS: &none}, "", 1, 500, message.KeyConfigurationInvalid},
		{"retain", packets.Properties{RetainAvailable: &none}, `,"producer":{"retained":true}`, 1, 500, message.KeyConfigurationInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := run(t, config(mute(t, c.can), "t", c.more), connectors.Limits{Drain: time.Millisecond})
			failed(t, publish(t, e, level(qos.Auto), strings.Repeat("x", c.size), nil), c.status, c.key)
		})
	}
}

func TestPublish_BoundedBuffer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	e := run(t, config(ln.Addr().String(), "t", ""), connectors.Limits{ProducerBuffer: 10_000, Drain: time.Millisecond})
	taken := 0
	for {
		err := publish(t, e, level(qos.None), strings.Repeat("x", 1000), nil)
		if err != nil {
			failed(t, err, 503, message.KeyBufferFull)
			break
		}
		if taken++; taken > 10 {
			t.Fatal("the buffer has no bound")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	failed(t, next(t, send(ctx, e, level(qos.Auto), strings.Repeat("x", 1000), nil)), 503, message.KeyBufferFull)
}

func TestPublish_DrainsBeforeItEnds(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	got := b.received(t, "t")
	e, err := New([]byte(config(b.addr, "t", "")), nil, connectors.Env{})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, e)
	const n = 1000
	for range n {
		if err := next(t, send(t.Context(), e, level(qos.None), "x", nil)); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	for range n {
		next(t, got)
	}
	failed(t, publish(t, e, level(qos.Auto), "late", nil), 503, message.KeyConnectionClosed)
	_, err = e.Subscribe(t.Context(), &exchange.Exchange{}, connectors.SubscribeOptions{})
	failed(t, err, 503, message.KeyConnectionClosed)
}
