package mqtt5

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	mochipackets "github.com/mochi-mqtt/server/v2/packets"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

func (b *broker) put(t testing.TB, topic, payload string, retain bool) {
	t.Helper()
	if err := b.Publish(topic, []byte(payload), retain, 1); err != nil {
		t.Fatal(err)
	}
}

func TestSubscribe_HeadersAndMetadata(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	e := run(t, config(b.addr, "in/+", `,"consumer":{"enabled":true}`), connectors.Limits{})
	c := subscribe(t, e, level(qos.Auto))
	cl := b.NewClient(nil, "local", "inline", true)
	p := mochipackets.Packet{FixedHeader: mochipackets.FixedHeader{Type: mochipackets.Publish, Qos: 1}, TopicName: "in/1", Payload: []byte("full"), PacketID: 1,
		ProtocolVersion: 5, Properties: mochipackets.Properties{ContentType: "text/plain", ResponseTopic: "r", CorrelationData: []byte("c"),
			MessageExpiryInterval: 60, User: []mochipackets.UserProperty{{Key: "a", Val: "1"}, {Key: "a", Val: "2"}}}}
	if err := b.InjectPacket(cl, p); err != nil {
		t.Fatal(err)
	}
	m := c.want("full")
	if got, want := metadata(m), "topic=in/1 type=PUBLISH qos=1 retain=false contentType=text/plain messageExpiryInterval=60 responseTopic=r correlationData=Yw=="; got != want {
		t.Errorf("metadata\n%s, want\n%s", got, want)
	}
	if got := fmt.Sprintf("%s", m.Headers); got != "[{a 1} {a 2}]" || m.ID != nil || c.s.AppendCursor(nil) != nil {
		t.Errorf("headers %s, id %q", got, m.ID)
	}
	b.put(t, "in/2", "plain", false)
	if got, want := metadata(c.want("plain")), "topic=in/2 type=PUBLISH qos=1 retain=false messageExpiryInterval=-1"; got != want {
		t.Errorf("metadata %s, want %s", got, want)
	}
}

func TestSubscribe_OneUpstreamForAll(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	e := run(t, config(b.addr, "t", ""), connectors.Limits{})
	var all []*client
	for i := range 50 {
		all = append(all, subscribe(t, e, level([]qos.Level{qos.None, qos.Auto}[i%2])))
	}
	if n := e.stats.connects.Load(); n != 1 {
		t.Errorf("%d connections for 50 subscribers", n)
	}
	subs := b.Topics.Subscribers("t").Subscriptions
	for _, s := range subs {
		if len(subs) != 1 || s.Qos != 1 {
			t.Errorf("upstream %+v, want one of QoS 1", subs)
		}
	}
	for i := range 1000 {
		b.put(t, "t", fmt.Sprint(i), false)
	}
	for _, c := range all {
		for i := range 1000 {
			c.want(fmt.Sprint(i))
		}
	}
}

func TestSubscribe_NoneAsksForQoS0(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	e := run(t, config(b.addr, "t", ""), connectors.Limits{})
	c := subscribe(t, e, level(qos.None))
	b.put(t, "t", "1", false)
	if got := metadata(c.want("1")); got != "topic=t type=PUBLISH qos=0 retain=false messageExpiryInterval=-1" {
		t.Error(got)
	}
}

func TestSubscribe_RetainedOnceToEach(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	b.put(t, "s/1", "one", true)
	e := run(t, config(b.addr, "s/#", `,"consumer":{"enabled":true}`), connectors.Limits{})
	first := subscribe(t, e, level(qos.Auto))
	first.want("one")
	second := subscribe(t, e, level(qos.None))
	if m := second.want("one"); metadata(m) != "topic=s/1 type=PUBLISH qos=1 retain=true messageExpiryInterval=-1" {
		t.Error(metadata(m))
	}
	b.put(t, "s/1", "two", true)
	first.want("two")
	second.want("two")
	subscribe(t, e, level(qos.Auto)).want("two")
	b.put(t, "s/1", "", true) // cleared
	b.put(t, "s/2", "end", false)
	first.want("")
	first.want("end")
	third := subscribe(t, e, level(qos.Auto))
	b.put(t, "s/2", "live", false)
	third.want("live")
	first.want("live")
}

func TestSubscribe_RetainedBeyondTheBoundIsTold(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	e := run(t, config(b.addr, "s/#", `,"consumer":{"enabled":true}`), connectors.Limits{RingBytes: 64 << 10})
	first := subscribe(t, e, level(qos.Auto))
	for i := range 100 {
		b.put(t, fmt.Sprint("s/", i), fmt.Sprint(i), true)
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

func TestSubscribe_SlowIsBoundedAndTold(t *testing.T) {
	t.Parallel()
	for _, q := range []qos.Level{qos.None, qos.Auto} {
		b := startBroker(t, "", nil)
		const ring = 64 << 10
		e := run(t, config(b.addr, "t", ""), connectors.Limits{RingBytes: ring})
		slow, quick := subscribe(t, e, level(q)), subscribe(t, e, level(q))
		const n = 800
		body := make([]byte, 1000)
		for i := range n {
			b.put(t, "t", fmt.Sprintf("%d %s", i, body), false)
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

func TestSubscribe_BrokerAwayAndBack(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	b.put(t, "t", "kept", true)
	e := run(t, config(b.addr, "t", ""), connectors.Limits{})
	c := subscribe(t, e, level(qos.Auto))
	c.want("kept")
	b.end()
	if m := c.message(message.Notice); string(m.Content) != `{"key":"FAILURE_ENDPOINT_CONNECTION_CLOSED","message":"Endpoint connection closed","closed":true}` {
		t.Errorf("notice %s", m.Content)
	}
	b = startBroker(t, b.addr, nil)
	b.put(t, "t", "kept", true)
	if m := c.message(message.Gap); string(m.Content) != `{"reason":"connection-lost"}` {
		t.Errorf("gap %s", m.Content)
	}
	if m := c.message(message.Notice); string(m.Content) != `{"key":"FAILURE_ENDPOINT_CONNECTION_CLOSED","message":"Endpoint connection restored","closed":false}` {
		t.Errorf("notice %s", m.Content)
	}
	subscribe(t, e, level(qos.Auto)).want("kept") // which also says that the subscription is there again
	b.put(t, "t", "new", false)
	c.want("new") // and not "kept" once more
}

func TestSubscribe_BrokerDown(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	e := run(t, config(ln.Addr().String(), "t", ""), connectors.Limits{})
	begun := time.Now()
	_, err = trySubscribe(t, e, level(qos.Auto), "")
	failed(t, err, 500, message.KeyConnectionFailed)
	if took := time.Since(begun); took > joinTimeout {
		t.Errorf("answered after %s", took)
	}
}

func TestSubscribe_Refused(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	e := run(t, config(b.addr, "t", ""), connectors.Limits{})
	for _, cursor := range []string{"earliest", "@2026-11-22T10:00:00Z", "abc"} {
		_, err := trySubscribe(t, e, level(qos.Auto), cursor)
		failed(t, err, 400, message.KeyInvalidCursor)
	}
	if _, err := trySubscribe(t, e, level(qos.Auto), "latest"); err != nil {
		t.Error(err)
	}
	x := level(qos.Auto)
	x.SetAttribute("mqtt5.topic", "a/#/b")
	_, err := trySubscribe(t, e, x, "")
	failed(t, err, 500, message.KeyConfigurationInvalid)
	off := run(t, config(b.addr, "t", `,"consumer":{"enabled":false}`), connectors.Limits{})
	_, err = trySubscribe(t, off, level(qos.Auto), "")
	failed(t, err, 500, message.KeyConfigurationInvalid)
}

func TestSubscribe_SharedFilterPassesThrough(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "", nil)
	const cfg = `,"consumer":{"enabled":true,"topic":"$share/group/t"}`
	one, two := run(t, config(b.addr, "t", cfg), connectors.Limits{}), run(t, config(b.addr, "t", cfg), connectors.Limits{})
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
		b.put(t, "t", fmt.Sprint(i), false)
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
