//go:build e2e

package mqttclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/brokers/netproxy"
)

// versions runs a test for both.
func versions(t *testing.T, f func(t *testing.T, v Version)) {
	t.Run("5", func(t *testing.T) { f(t, V5) })
	t.Run("3.1.1", func(t *testing.T) { f(t, V311) })
}

// counted are the levels that keep a session for every client.
var counted = []qos.Level{qos.AtMostOnce, qos.AtLeastOnce}

// number publishes the numbers from one to before another.
func number(p *peer, topic string, from, to int) {
	p.t.Helper()
	for i := from; i < to; i++ {
		p.put(topic, fmt.Sprint(i), 1, false)
	}
}

// wantNumbers takes the numbers from one to before another, in order, and proves receipt of them.
func (c *client) wantNumbers(from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		m := c.want(fmt.Sprint(i))
		c.s.DeliveredThrough(&m)
	}
}

// end closes the subscription and waits.
func (c *client) end() { c.s.Close(context.Background()) }

// nothing checks that there is nothing more: the broker sends in order, so what it sends behind is the proof.
func (c *client) nothing(p *peer, topic string) {
	c.t.Helper()
	p.put(topic, "end", 1, false)
	c.want("end")
}

// TestReal_SessionTwentyThousand publishes and reads back at every level, over both versions.
func TestReal_SessionTwentyThousand(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		const n = 20_000
		for _, x := range []*exchange.Exchange{level(qos.None), level(qos.Auto), named(qos.Auto, "a"), level(qos.AtMostOnce),
			named(qos.AtMostOnce, "b"), level(qos.AtLeastOnce), named(qos.AtLeastOnce, "c")} {
			e := runVersion(t, v, config(b.Addr(), "many", ""), connectors.Limits{ProduceTimeout: time.Minute})
			c := subscribe(t, e, x)
			outcomes := make([]ack, n)
			begun := time.Now()
			go func() {
				for i := range n {
					outcomes[i] = send(t.Context(), e, level(min(x.QoS, qos.Auto)), fmt.Sprint(i), nil)
				}
			}()
			c.wantNumbers(0, n)
			for _, a := range outcomes {
				if err := next(t, a); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%s, named %t: %.0f messages/s", x.QoS, x.ClientSupplied, n/time.Since(begun).Seconds())
			c.end()
		}
	})
}

// TestReal_SessionResume leaves with some messages unproved and comes back: all of those come again, and nothing else.
func TestReal_SessionResume(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		for _, q := range []qos.Level{qos.Auto, qos.AtLeastOnce} {
			for _, mqttQoS := range []int{1, 2} {
				topic := fmt.Sprint("t/", q, mqttQoS)
				cfg := config(b.Addr(), topic, fmt.Sprintf(`,"consumer":{"qos":%d}`, mqttQoS))
				x := named(q, fmt.Sprint("client", mqttQoS))
				e := runVersion(t, v, cfg, connectors.Limits{})
				c := subscribe(t, e, x)
				for i := range 100 {
					p.put(topic, fmt.Sprint(i), byte(mqttQoS), false)
				}
				c.wantNumbers(0, 60)
				for i := 60; i < 80; i++ {
					c.want(fmt.Sprint(i))
				}
				c.end()
				for i := 100; i < 120; i++ { // while it is away
					p.put(topic, fmt.Sprint(i), byte(mqttQoS), false)
				}
				other := runVersion(t, v, cfg, connectors.Limits{}) // another worker
				c = subscribe(t, other, x)
				c.wantNumbers(60, 120)
				c.end()
				c = subscribe(t, e, x)
				c.nothing(p, topic)
				c.end()
			}
		}
	})
}

// TestReal_SessionAtMostOnceAway takes some messages and leaves; what it was not handed comes later, and nothing twice.
func TestReal_SessionAtMostOnceAway(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		for _, mqttQoS := range []int{1, 2} {
			topic := fmt.Sprint("t/", mqttQoS)
			cfg := config(b.Addr(), topic, fmt.Sprintf(`,"consumer":{"qos":%d}`, mqttQoS))
			x := named(qos.AtMostOnce, fmt.Sprint("client", mqttQoS))
			c := subscribe(t, runVersion(t, v, cfg, connectors.Limits{}), x)
			for i := range 100 {
				p.put(topic, fmt.Sprint(i), byte(mqttQoS), false)
			}
			for at := 0; at < 100; { // 7 at a time, and a new worker after each
				c.ready = nil
				var view []message.Message
				for len(view) == 0 {
					var err error
					if view, err = c.s.Poll(7); err != nil {
						t.Fatal(err)
					}
					if len(view) == 0 {
						next(t, c.woken)
					}
				}
				for i := range view {
					if string(view[i].Content) != fmt.Sprint(at) {
						t.Fatalf("QoS %d: got %s, want %d", mqttQoS, view[i].Content, at)
					}
					at++
				}
				c.end()
				c = subscribe(t, runVersion(t, v, cfg, connectors.Limits{}), x)
			}
			c.nothing(p, topic)
			c.end()
		}
	})
}

// TestReal_SessionBrokenConnection resets the connection under load, again and again: at-least-once loses nothing, at-most-once
// hands out nothing twice. A client without a name loses nothing there either, since only connections break; one with a name,
// whose session another worker might have had meanwhile, is told that it may have.
func TestReal_SessionBrokenConnection(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		for _, q := range counted {
			for _, supplied := range []bool{true, false} {
				for _, mqttQoS := range []int{1, 2} {
					proxy := netproxy.New(t, b.Addr())
					topic := fmt.Sprint("t/", q, supplied, mqttQoS)
					e := runVersion(t, v, config(proxy.Addr(), topic, fmt.Sprintf(`,"consumer":{"qos":%d}`, mqttQoS)), connectors.Limits{})
					x := named(q, topic)
					x.ClientSupplied = supplied
					c := subscribe(t, e, x)
					const n, cuts = 3000, 6
					p := newPeer(t, b.Addr())
					done := make(chan struct{})
					go func() {
						defer close(done)
						for i := range n {
							p.put(topic, fmt.Sprint(i), byte(mqttQoS), false)
							if i%(n/cuts) == n/cuts/2 {
								proxy.Reset()
							}
						}
						p.put(topic, "end", byte(mqttQoS), false)
					}()
					seen := map[string]int{}
					gaps := 0
					for seen["end"] == 0 {
						m, err := c.any()
						if err != nil {
							t.Fatal(err)
						}
						if m.Kind == message.Data {
							seen[string(m.Content)]++
							c.s.DeliveredThrough(&m)
						} else if m.Kind == message.Gap {
							gaps++
						}
					}
					<-done
					twice, missing := 0, n+1-len(seen)
					for _, times := range seen {
						twice += times - 1
					}
					if q == qos.AtMostOnce && twice > 0 {
						t.Errorf("%s QoS %d: %d handed out twice", q, mqttQoS, twice)
					}
					if missing > 0 && (q == qos.AtLeastOnce || !supplied || gaps == 0) {
						t.Errorf("%s, named %t, QoS %d: %d are missing, %d gaps were told", q, supplied, mqttQoS, missing, gaps)
					}
					if lost := e.stats.sessionsLost.Load(); lost > 0 {
						t.Errorf("%d sessions lost", lost)
					}
					t.Logf("%s, named %t, QoS %d: %d connections, %d twice, %d missing, %d gaps", q, supplied, mqttQoS, e.stats.connects.Load(), twice, missing, gaps)
					c.end()
				}
			}
		}
	})
}

// TestReal_SessionBrokerRestart kills the broker, which has saved what it acknowledged: nothing of it is lost, and what was not
// proved comes again, in order.
func TestReal_SessionBrokerRestart(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		e := runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{})
		c := subscribe(t, e, named(qos.AtLeastOnce, "client"))
		number(newPeer(t, b.Addr()), "t", 0, 200)
		if err := b.AwaitSaved(t.Context(), "199"); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			c.want(fmt.Sprint(i)) // and proves nothing
		}
		b.Kill()
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		number(newPeer(t, b.Addr()), "t", 200, 300)
		c.ready = nil // it had been handed more than it took, which comes again as well
		var told []string
		for i := 0; i < 300; {
			m, err := c.any()
			if err != nil {
				t.Fatal(err)
			}
			if m.Kind != message.Data {
				told = append(told, string(m.Content))
				continue
			}
			if string(m.Content) != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", m.Content, i)
			}
			c.s.DeliveredThrough(&m)
			i++
		}
		if slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, "reason") }) {
			t.Errorf("told of a gap: %q", told)
		}
		c.end()
		c = subscribe(t, e, named(qos.AtLeastOnce, "client"))
		c.nothing(newPeer(t, b.Addr()), "t")
	})
}

// TestReal_SessionSharedBrokerRestart restarts the broker below a session that shares its messages with others: Mosquitto keeps
// the session and forgets the share. What is retained is for nobody who shares, however often it subscribes.
func TestReal_SessionSharedBrokerRestart(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		p.put("t", "retained", 1, true)
		c := subscribe(t, runVersion(t, v, config(b.Addr(), "$share/group/t", ""), connectors.Limits{}), named(qos.AtLeastOnce, "client"))
		p.put("t", "before", 1, false)
		c.want("before")
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		for { // the worker's connection is there again
			m, err := c.any()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(m.Content), `"closed":false`) {
				break
			}
		}
		// The broker drops what comes before the worker has subscribed again, so it is sent until it arrives.
		again, done, sent := newPeer(t, b.Addr()), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(sent)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				again.put("t", "after", 1, false)
				select {
				case <-tick.C:
				case <-done:
					return
				}
			}
		}()
		defer func() { close(done); <-sent }()
		for {
			m := c.message(message.Data)
			switch string(m.Content) {
			case "before": // it was not proved
				continue
			case "after":
				return
			}
			t.Fatalf("got %s", m.Content)
		}
	})
}

// TestReal_SessionLost restarts a broker that saves nothing: the subscriber is told.
func TestReal_SessionLost(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, brokers.MosquittoConfig{Lines: []string{"persistence false"}})
		e := runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{})
		c := subscribe(t, e, named(qos.AtLeastOnce, "client"))
		number(newPeer(t, b.Addr()), "t", 0, 10)
		c.wantNumbers(0, 10)
		b.Kill()
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m := c.message(message.Gap); string(m.Content) != `{"reason":"session-lost"}` {
			t.Errorf("gap %s", m.Content)
		}
		subscribe(t, e, named(qos.AtLeastOnce, "client")).end() // which says that the subscription is there again
		number(newPeer(t, b.Addr()), "t", 10, 20)
		for i := 10; i < 20; i++ {
			if m := c.message(message.Data); string(m.Content) != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", m.Content, i)
			}
		}
	})
}

// TestReal_SessionOutOfOrder proves receipt of single messages: what is left comes again after all.
func TestReal_SessionOutOfOrder(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		x := named(qos.AtLeastOnce, "client")
		e := runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{})
		c := subscribe(t, e, x)
		number(p, "t", 0, 20)
		var all []message.Message
		for i := range 20 {
			all = append(all, c.want(fmt.Sprint(i)))
		}
		for i := 19; i >= 0; i-- {
			if i != 7 {
				c.s.Acknowledge(&all[i])
			}
		}
		c.end()
		c = subscribe(t, e, x)
		seen := map[string]bool{}
		number(p, "t", 20, 21)
		for !seen["20"] {
			m := c.message(message.Data)
			seen[string(m.Content)] = true
			c.s.Acknowledge(&m)
		}
		if !seen["7"] || seen["6"] {
			t.Errorf("came again: %v", seen)
		}
	})
}

// TestReal_SessionSplit has two subscribers of one client share its messages. What one leaves unproved goes to the other, but
// not behind what that has got: it is told to come back.
func TestReal_SessionSplit(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		e := runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{})
		x := named(qos.AtLeastOnce, "client")
		one, two := subscribe(t, e, x), subscribe(t, e, x)
		if n := e.stats.connects.Load(); n != 1 {
			t.Errorf("%d connections for one client", n)
		}
		number(p, "t", 0, 10)
		for i := range 10 {
			one.want(fmt.Sprint(i))
		}
		number(p, "t", 10, 20)
		two.wantNumbers(10, 15)
		for i := 15; i < 20; i++ {
			two.want(fmt.Sprint(i))
		}
		three := subscribe(t, e, x) // has got nothing yet
		one.end()
		_, err := two.any()
		failed(t, err, 503, message.KeyConnectionClosed)
		three.wantNumbers(0, 10)
		three.wantNumbers(15, 20)
		three.nothing(p, "t")
	})
}

// TestReal_SessionTakenOver has another worker use the same client identifier.
func TestReal_SessionTakenOver(t *testing.T) {
	versions(t, testTakenOver)
}

func testTakenOver(t *testing.T, v Version) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	x := named(qos.AtLeastOnce, "client")
	first, second := runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{}), runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{})
	c := subscribe(t, first, x)
	number(p, "t", 0, 10)
	for i := range 10 { // nothing is proved: Mosquitto resets a connection on which it has bytes to read, which tells nothing
		c.want(fmt.Sprint(i))
	}
	d := subscribe(t, second, x)
	_, err := c.any()
	for err == nil {
		_, err = c.any()
	}
	if f := failed(t, err, 409, message.KeyConnectionClosed); !strings.Contains(f.Message, "taken the session over") {
		t.Errorf("told %q", f.Message)
	}
	c.end()
	number(p, "t", 10, 12)
	seen := map[string]bool{}
	for !seen["11"] {
		m := d.message(message.Data)
		seen[string(m.Content)] = true
	}
	for i := range 12 {
		if !seen[fmt.Sprint(i)] {
			t.Errorf("%d is lost", i)
		}
	}
}

// one is the next message, and no more is asked for.
func (c *client) one() message.Message {
	c.t.Helper()
	for {
		view, err := c.s.Poll(1)
		switch {
		case err != nil:
			c.t.Fatal(err)
		case len(view) == 0:
			next(c.t, c.woken)
		case view[0].Kind == message.Data:
			return view[0]
		}
	}
}

// awaitLinked waits until the session of a client has a connection, or none.
func awaitLinked(c *client, want bool) {
	c.t.Helper()
	s := c.s.(*member).s
	for {
		s.mu.Lock()
		linked, changed := s.linked, s.changed
		s.mu.Unlock()
		if linked == want {
			return
		}
		next(c.t, changed)
	}
}

// TestReal_SessionTakenBack breaks a worker's connection in a way that tells nothing, and has another worker take the session over
// until the first is back: what that one received before then, it must not take for what is still owed.
func TestReal_SessionTakenBack(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		for _, q := range []qos.Level{qos.Auto, qos.AtMostOnce, qos.AtLeastOnce} {
			b := brokers.StartMosquitto(t, quick)
			proxy := netproxy.New(t, b.Addr())
			p := newPeer(t, b.Addr())
			x := named(q, "client")
			first, second := runVersion(t, v, config(proxy.Addr(), "t", ""), connectors.Limits{}), runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{})
			c := subscribe(t, first, x)
			number(p, "t", 0, 100)
			for range 5 { // the rest is received, and not asked for
				c.one()
			}
			proxy.Cut()
			awaitLinked(c, false)
			d := subscribe(t, second, x)
			for content := ""; content != "59"; { // the rest is received, and not proved or asked for
				m := d.one()
				content = string(m.Content)
				d.s.DeliveredThrough(&m)
			}
			d.end()
			number(p, "t", 100, 120)
			if err := proxy.Restore(); err != nil {
				t.Fatal(err)
			}
			awaitLinked(c, true)
			number(p, "t", 120, 140)
			for i := 60; i < 140; i++ {
				m := c.message(message.Data)
				if string(m.Content) != fmt.Sprint(i) {
					t.Fatalf("%s: got %s, want %d", q, m.Content, i)
				}
				c.s.DeliveredThrough(&m)
			}
			c.nothing(p, "t")
		}
	})
}

// TestReal_SessionShared has two workers share the work of one subscription; the part of one that is away waits for it.
func TestReal_SessionShared(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		x := named(qos.AtLeastOnce, "sub/1+#") // what may not stand in a group's name
		var workers [2]*client
		for i := range workers {
			workers[i] = subscribeAs(t, runVersion(t, v, config(b.Addr(), "t/+", ""), connectors.Limits{}), x, connectors.SubscribeOptions{Instance: fmt.Sprint("worker", i)})
		}
		seen := map[string]int{}
		take := func(c *client, n int) {
			for range n {
				m := c.message(message.Data)
				seen[string(m.Content)]++
				c.s.DeliveredThrough(&m)
			}
		}
		number(p, "t/1", 0, 100)
		take(workers[0], 50)
		take(workers[1], 50)
		workers[0].end()
		number(p, "t/1", 100, 200)
		take(workers[1], 50)
		back := subscribeAs(t, runVersion(t, v, config(b.Addr(), "t/+", ""), connectors.Limits{}), x, connectors.SubscribeOptions{Instance: "worker0"})
		take(back, 50)
		for i := range 200 {
			if seen[fmt.Sprint(i)] != 1 {
				t.Errorf("%d came %d times", i, seen[fmt.Sprint(i)])
			}
		}
	})
}

// TestReal_SessionRetained gives what is retained once to a new session, and to nobody who shares.
func TestReal_SessionRetained(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		for _, q := range counted {
			topic := "t/" + q.String()
			p.put(topic, "kept", 1, true)
			e := runVersion(t, v, config(b.Addr(), topic, ""), connectors.Limits{})
			x := named(q, "client")
			c := subscribe(t, e, x)
			m := c.want("kept")
			c.s.DeliveredThrough(&m)
			if got := metadata(m); !strings.Contains(got, "retain=true") {
				t.Error(got)
			}
			c.end()
			if v == V311 {
				continue // it gives it to each subscription
			}
			c = subscribe(t, e, x)
			c.nothing(p, topic)
			c.end()
			c = subscribeAs(t, e, x, connectors.SubscribeOptions{Instance: "w"})
			c.nothing(p, topic)
		}
	})
}

// TestReal_SessionFilterLeft changes the filter of a definition: what the old one left in the session is not handed out.
func TestReal_SessionFilterLeft(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	p := newPeer(t, b.Addr())
	x := named(qos.AtLeastOnce, "client")
	subscribe(t, run(t, config(b.Addr(), "old/+", ""), connectors.Limits{}), x).end()
	p.put("old/1", "left", 1, false)
	e := run(t, config(b.Addr(), "new/#", ""), connectors.Limits{})
	c := subscribe(t, e, x)
	p.put("new/a/b", "right", 1, false)
	c.want("right")
	if n := e.stats.foreign.Load(); n != 1 {
		t.Errorf("%d messages left aside, want 1", n)
	}
}

// TestReal_SessionSlowIsBounded leaves a subscriber asleep: the worker holds little, and the broker keeps the rest.
func TestReal_SessionSlowIsBounded(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		for _, q := range counted {
			b := brokers.StartMosquitto(t, quick)
			p := newPeer(t, b.Addr())
			const ring, n = 8 << 20, 3000
			e := runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{RingBytes: ring})
			c := subscribe(t, e, named(q, "client"))
			body := strings.Repeat("x", 1000)
			for i := range n {
				p.put("t", fmt.Sprintf("%d %s", i, body), 1, false)
			}
			e.sessions.mu.Lock()
			for _, s := range e.sessions.all {
				s.mu.Lock()
				if s.held > max(ring/sessionShare, leastHeld)+4096 {
					t.Errorf("%s: %d bytes are held", q, s.held)
				}
				s.mu.Unlock()
			}
			e.sessions.mu.Unlock()
			for i := range n {
				m := c.message(message.Data)
				if !strings.HasPrefix(string(m.Content), fmt.Sprint(i, " ")) {
					t.Fatalf("%s: got %.10s, want %d", q, m.Content, i)
				}
				c.s.DeliveredThrough(&m)
			}
		}
	})
}

// TestReal_SessionComesBackToMuch: what waits in the session is more than may be held, and the broker sends it before it answers
// the SUBSCRIBE.
func TestReal_SessionComesBackToMuch(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		for _, q := range counted {
			b := brokers.StartMosquitto(t, quick)
			p := newPeer(t, b.Addr())
			const n = 1000
			limits := connectors.Limits{RingBytes: 1 << 20}
			subscribe(t, runVersion(t, v, config(b.Addr(), "t", ""), limits), named(q, "client")).end()
			body := strings.Repeat("x", 1000)
			for i := range n {
				p.put("t", fmt.Sprintf("%d %s", i, body), 1, false)
			}
			c := subscribe(t, runVersion(t, v, config(b.Addr(), "t", ""), limits), named(q, "client"))
			for i := range n {
				m := c.message(message.Data)
				if !strings.HasPrefix(string(m.Content), fmt.Sprint(i, " ")) {
					t.Fatalf("%s: got %.10s, want %d", q, m.Content, i)
				}
				c.s.DeliveredThrough(&m)
			}
		}
	})
}

// TestReal_SessionOfNobodyEnds: a client without a name leaves no session behind.
func TestReal_SessionOfNobodyEnds(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		e := runVersion(t, v, config(b.Addr(), "t", ""), connectors.Limits{})
		c := subscribe(t, e, level(qos.AtLeastOnce))
		id := c.s.(*member).s.clientID
		c.end()
		l, err := e.dial(t.Context(), hello{clientID: id, buffer: 4096})
		if err != nil {
			t.Fatal(err)
		}
		if l.present {
			t.Error("the session is still there")
		}
		l.bye()
		l.close()
	})
}

// TestReal_SessionNoPositions: there is nothing to resume at, or to replay.
func TestReal_SessionNoPositions(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{})
	for _, o := range []connectors.SubscribeOptions{{Cursor: "earliest"}, {Until: "@2026-11-22T10:00:00Z"}} {
		_, err := trySubscribe(t, e, named(qos.AtLeastOnce, "c"), o)
		failed(t, err, 400, message.KeyInvalidCursor)
	}
	_, err := trySubscribe(t, e, named(qos.AtLeastOnce, "c"), connectors.SubscribeOptions{})
	if err != nil {
		t.Error(errors.Unwrap(err))
	}
}
