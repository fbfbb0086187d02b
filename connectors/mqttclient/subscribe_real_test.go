//go:build e2e

package mqttclient

import (
	"context"
	"fmt"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
)

func TestReal_SubscribeHeadersAndMetadata(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	e := run(t, config(b.Addr(), "in/+", `,"consumer":{"enabled":true}`), connectors.Limits{})
	c := subscribe(t, e, level(qos.Auto))
	expiry := uint32(60)
	p.publish(&paho.Publish{Topic: "in/1", QoS: 1, Payload: []byte("full"), Properties: &paho.PublishProperties{
		ContentType: "text/plain", ResponseTopic: "r", CorrelationData: []byte("c"), MessageExpiry: &expiry,
		User: paho.UserProperties{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}}})
	m := c.want("full")
	if got, want := metadata(m), "topic=in/1 type=PUBLISH qos=1 retain=false contentType=text/plain messageExpiryInterval=60 responseTopic=r correlationData=Yw=="; got != want {
		t.Errorf("metadata\n%s, want\n%s", got, want)
	}
	if got := fmt.Sprintf("%s", m.Headers); got != "[{a 1} {a 2}]" || m.ID != nil || c.s.AppendCursor(nil) != nil {
		t.Errorf("headers %s, id %q", got, m.ID)
	}
	p.put("in/2", "plain", 1, false)
	if got, want := metadata(c.want("plain")), "topic=in/2 type=PUBLISH qos=1 retain=false messageExpiryInterval=-1"; got != want {
		t.Errorf("metadata %s, want %s", got, want)
	}
}

func TestReal_SubscribeOneUpstreamForAll(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{})
	var all []*client
	for i := range 50 {
		all = append(all, subscribe(t, e, level([]qos.Level{qos.None, qos.Auto}[i%2])))
	}
	if n := e.stats.connects.Load(); n != 1 {
		t.Errorf("%d connections for 50 subscribers", n)
	}
	for i := range 1000 {
		p.put("t", fmt.Sprint(i), 1, false)
	}
	for _, c := range all {
		for i := range 1000 {
			c.want(fmt.Sprint(i))
		}
	}
}

func TestReal_SubscribeNoneAsksForQoS0(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{})
	c := subscribe(t, e, level(qos.None))
	p.put("t", "1", 1, false)
	if got := metadata(c.want("1")); got != "topic=t type=PUBLISH qos=0 retain=false messageExpiryInterval=-1" {
		t.Error(got)
	}
}

func TestReal_SubscribeRetainedOnceToEach(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	p.put("s/1", "one", 1, true)
	e := run(t, config(b.Addr(), "s/#", `,"consumer":{"enabled":true}`), connectors.Limits{})
	first := subscribe(t, e, level(qos.Auto))
	first.want("one")
	second := subscribe(t, e, level(qos.None))
	if m := second.want("one"); metadata(m) != "topic=s/1 type=PUBLISH qos=1 retain=true messageExpiryInterval=-1" {
		t.Error(metadata(m))
	}
	p.put("s/1", "two", 1, true)
	first.want("two")
	second.want("two")
	subscribe(t, e, level(qos.Auto)).want("two")
	p.put("s/1", "", 1, true) // cleared
	p.put("s/2", "end", 1, false)
	first.want("")
	first.want("end")
	third := subscribe(t, e, level(qos.Auto))
	p.put("s/2", "live", 1, false)
	third.want("live")
	first.want("live")
}

func TestReal_SubscribeRetainedBeyondTheBoundIsTold(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	e := run(t, config(b.Addr(), "s/#", `,"consumer":{"enabled":true}`), connectors.Limits{RingBytes: 64 << 10})
	first := subscribe(t, e, level(qos.Auto))
	for i := range 100 {
		p.put(fmt.Sprint("s/", i), fmt.Sprint(i), 1, true)
	}
	for string(first.message(message.Data).Content) != "99" {
	}
	late := subscribe(t, e, level(qos.Auto))
	n := 0
	for {
		m, err := late.any()
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind == message.Gap {
			if string(m.Content) != `{"reason":"retained-limit"}` {
				t.Errorf("gap %s", m.Content)
			}
			break
		}
		n++
	}
	if n == 0 || n == 100 {
		t.Errorf("%d retained messages", n)
	}
}

func TestReal_SubscribeSlowIsBoundedAndTold(t *testing.T) {
	for _, q := range []qos.Level{qos.None, qos.Auto} {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		const ring = 64 << 10
		e := run(t, config(b.Addr(), "t", ""), connectors.Limits{RingBytes: ring})
		slow, quick := subscribe(t, e, level(q)), subscribe(t, e, level(q))
		const n = 800
		body := make([]byte, 1000)
		for i := range n {
			p.put("t", fmt.Sprintf("%d %s", i, body), 1, false)
			quick.message(message.Data)
		}
		if held := e.stats.ringBytes.Load(); held > 2*ring {
			t.Errorf("%s: the ring holds %d bytes", q, held)
		}
		m, err := slow.any()
		if err != nil || m.Kind != message.Gap {
			t.Fatalf("%s: got kind %d, %v; want a gap", q, m.Kind, err)
		}
		var lost, at int
		if _, err := fmt.Sscanf(string(m.Content), `{"lost":%d,"reason":"slow-client"}`, &lost); err != nil {
			t.Fatalf("%s: %s", q, m.Content)
		}
		first := slow.message(message.Data)
		if _, err := fmt.Sscanf(string(first.Content), "%d", &at); err != nil || at != lost {
			t.Errorf("%s: %d lost, but goes on at %d", q, lost, at)
		}
		for range n - at - 1 {
			slow.message(message.Data)
		}
	}
}

func TestReal_SubscribeBrokerAwayAndBack(t *testing.T) {
	b := brokers.StartMosquitto(t, brokers.MosquittoConfig{})
	newPeer(t, b.Addr()).put("t", "kept", 1, true)
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{})
	c := subscribe(t, e, level(qos.Auto))
	c.want("kept")
	if err := b.AwaitSaved(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	b.Kill()
	if m := c.message(message.Notice); string(m.Content) != `{"key":"FAILURE_ENDPOINT_CONNECTION_CLOSED","message":"Endpoint connection closed","closed":true}` {
		t.Errorf("notice %s", m.Content)
	}
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := c.message(message.Gap); string(m.Content) != `{"reason":"connection-lost"}` {
		t.Errorf("gap %s", m.Content)
	}
	if m := c.message(message.Notice); string(m.Content) != `{"key":"FAILURE_ENDPOINT_CONNECTION_CLOSED","message":"Endpoint connection restored","closed":false}` {
		t.Errorf("notice %s", m.Content)
	}
	subscribe(t, e, level(qos.Auto)).want("kept") // which also says that the subscription is there again
	newPeer(t, b.Addr()).put("t", "new", 1, false)
	c.want("new") // and not "kept" once more
}

func TestReal_SubscribeRefused(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{})
	for _, cursor := range []string{"earliest", "@2026-11-22T10:00:00Z", "abc"} {
		_, err := trySubscribe(t, e, level(qos.Auto), connectors.SubscribeOptions{Cursor: cursor})
		failed(t, err, 400, message.KeyInvalidCursor)
	}
	if _, err := trySubscribe(t, e, level(qos.Auto), connectors.SubscribeOptions{Cursor: "latest"}); err != nil {
		t.Error(err)
	}
	x := level(qos.Auto)
	x.SetAttribute("mqtt5.topic", "a/#/b")
	_, err := trySubscribe(t, e, x, connectors.SubscribeOptions{})
	failed(t, err, 500, message.KeyConfigurationInvalid)
	off := run(t, config(b.Addr(), "t", `,"consumer":{"enabled":false}`), connectors.Limits{})
	_, err = trySubscribe(t, off, level(qos.Auto), connectors.SubscribeOptions{})
	failed(t, err, 500, message.KeyConfigurationInvalid)
}

func TestReal_SubscribeSharedFilterPassesThrough(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	const cfg = `,"consumer":{"enabled":true,"topic":"$share/group/t"}`
	one, two := run(t, config(b.Addr(), "t", cfg), connectors.Limits{}), run(t, config(b.Addr(), "t", cfg), connectors.Limits{})
	got := make(chan string, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	for _, e := range []*Endpoint{one, two} {
		c := subscribe(t, e, level(qos.Auto))
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				view, err := c.s.Poll(100)
				for i := range view {
					got <- string(view[i].Content)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if len(view) == 0 {
					select {
					case <-c.woken:
					case <-ctx.Done():
						return
					}
				}
			}
		}()
	}
	const n = 200
	for i := range n {
		p.put("t", fmt.Sprint(i), 1, false)
	}
	seen := map[string]bool{}
	for range n {
		seen[next(t, got)] = true
	}
	if len(seen) != n || len(got) != 0 {
		t.Errorf("%d different of %d, %d more", len(seen), n, len(got))
	}
	cancel()
	<-done
	<-done
}
