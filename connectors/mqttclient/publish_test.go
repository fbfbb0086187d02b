package mqttclient

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestAppendFrame_ReadByAnotherDecoder(t *testing.T) {
	t.Parallel()
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1})
	for _, size := range []int{0, 1, 100, 127, 128, 16_383, 16_384, 3 << 20} {
		payload := bytes.Repeat([]byte{'x'}, size)
		o := outgoing{topic: "a/b", responseTopic: "r", qos: 1, retain: true, expiry: 70, contentType: []byte("text/plain"), span: span,
			headers: []message.Header{{Name: "A", Value: []byte("1")}, {Name: "TraceParent", Value: []byte("theirs")},
				{Name: "A", Value: []byte("tab\there \xe9\x00")}},
			payload: payload}
		const want = "[{A 1} {A tab here é\uFFFD} {traceparent 00-01000000000000000000000000000000-0200000000000000-01}]"
		for _, alias := range []uint16{0, 7} {
			got := reread[*packets.Publish](t, V5, &o, alias, alias != 0)
			users := fmt.Sprint(got.Properties.User)
			topic := got.Topic == "a/b" && alias == 0 || got.Topic == "" && *got.Properties.TopicAlias == alias
			if !topic || got.QoS != 1 || !got.Retain || got.PacketID != 0x1234 || !bytes.Equal(got.Payload, payload) ||
				*got.Properties.MessageExpiry != 70 || got.Properties.ContentType != "text/plain" || got.Properties.ResponseTopic != "r" || users != want {
				t.Errorf("size %d: %s", size, users)
			}
		}
		got := reread[*packets.Publish](t, V311, &o, 0, false)
		if got.Topic != "a/b" || got.QoS != 1 || !got.Retain || got.PacketID != 0x1234 || !bytes.Equal(got.Payload, payload) {
			t.Errorf("size %d of 3.1.1: %+v", size, got)
		}
	}
	o := outgoing{topic: "a", expiry: noExpiry, headers: []message.Header{{Name: "a", Value: make([]byte, maxText+1)}}}
	if _, _, err := o.appendBody(nil, V5); err != errTextTooLong {
		t.Errorf("a header too long: %v", err)
	}
}

// reread encodes o and has paho decode it.
func reread[P any](t *testing.T, v Version, o *outgoing, alias uint16, known bool) P {
	t.Helper()
	n := pending{topic: o.topic, qos: o.qos, retain: o.retain, id: 0x1234}
	var err error
	if n.body, n.props, err = o.appendBody(nil, v); err != nil {
		t.Fatal(err)
	}
	frame := n.appendFrame(nil, v, alias, known)
	if alias == 0 && len(frame) != n.length(v) {
		t.Errorf("%d bytes, announced as %d", len(frame), n.length(v))
	}
	p, err := v.decode(bytes.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	return p.Content.(P)
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
			if _, err := packets.ReadPacket(conn); err == nil {
				hello := packets.NewControlPacket(packets.CONNACK)
				hello.Content.(*packets.Connack).Properties = &can
				_, _ = hello.WriteTo(conn)
			}
			for {
				if p, err := packets.ReadPacket(conn); err != nil || p.Type == packets.DISCONNECT {
					break
				}
			}
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

func TestPublish_NoAcknowledgementIsUnknown(t *testing.T) {
	t.Parallel()
	e := run(t, config(mute(t, packets.Properties{}), "t", ""), connectors.Limits{ProduceTimeout: 2 * time.Second, Drain: 100 * time.Millisecond})
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
