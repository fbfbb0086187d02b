//go:build e2e

package mqttclient

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
)

func TestReal_PublishProperties(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	p.hear("#")
	e := run(t, config(b.Addr(), "out", `,"producer":{"retained":true,"responseTopic":"answers","messageExpiryInterval":60}`), connectors.Limits{})
	for _, q := range []qos.Level{qos.None, qos.Auto} {
		if err := publish(t, e, level(q), "hello", func(m *message.Message) {
			m.Headers = append(m.Headers, message.Header{Name: "Content-Type", Value: []byte("text/plain")}, message.Header{Name: "X", Value: []byte("1")})
		}); err != nil {
			t.Fatal(err)
		}
		m := next(t, p.got)
		if want := byte(min(int(q), 1)); m.QoS != want {
			t.Errorf("%s: QoS %d, want %d", q, m.QoS, want)
		}
		if m.Topic != "out" || string(m.Payload) != "hello" || !m.Retain || m.Properties.ResponseTopic != "answers" ||
			*m.Properties.MessageExpiry != 60 || m.Properties.ContentType != "text/plain" ||
			fmt.Sprint(m.Properties.User) != "[{Content-Type text/plain} {X 1}]" {
			t.Errorf("%s: %+v", q, m)
		}
	}
}

func TestReal_PublishTopicByAttribute(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	p.hear("#")
	e := run(t, config(b.Addr(), "configured", ""), connectors.Limits{})
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
		if m := next(t, p.got); m.Topic != c.want {
			t.Errorf("%s: published to %s", c.name, m.Topic)
		}
	}
	for _, bad := range []string{"", "a/#", "+", "nul\x00", "tab\t"} {
		x := level(qos.Auto)
		x.SetAttribute("mqtt5.topic", bad)
		failed(t, publish(t, e, x, "", nil), 500, message.KeyConfigurationInvalid)
	}
}

func TestReal_PublishWhatTheBrokerTakes(t *testing.T) {
	b := brokers.StartMosquitto(t, brokers.MosquittoConfig{Lines: []string{"autosave_on_changes false", "max_inflight_messages 3"}})
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{})
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

func TestReal_PublishBrokerDownAndBack(t *testing.T) {
	b := brokers.StartMosquitto(t, brokers.MosquittoConfig{})
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{ProduceTimeout: 300 * time.Millisecond})
	if err := publish(t, e, level(qos.Auto), "1", nil); err != nil {
		t.Fatal(err)
	}
	b.Kill()
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
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, b.Addr())
	p.hear("t")
	e.limits.ProduceTimeout = 10 * time.Second // the first must succeed, however late the connection comes
	if err := publish(t, e, level(qos.Auto), "3", nil); err != nil {
		t.Fatal(err)
	}
	for string(next(t, p.got).Payload) != "3" { // "lost" may have come through
	}
}

func TestReal_PublishDrainsBeforeItEnds(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	p.hear("t")
	e, err := New([]byte(config(b.Addr(), "t", "")), nil, connectors.Env{}, V5)
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
		next(t, p.got)
	}
	failed(t, publish(t, e, level(qos.Auto), "late", nil), 503, message.KeyConnectionClosed)
	_, err = e.Subscribe(t.Context(), &exchange.Exchange{}, connectors.SubscribeOptions{})
	failed(t, err, 503, message.KeyConnectionClosed)
}
