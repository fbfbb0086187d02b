package mock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func endpoint(t testing.TB, cfg string) *Endpoint {
	t.Helper()
	e, err := New(json.RawMessage(cfg), nil, connectors.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func connect(t testing.TB, e *Endpoint, level qos.Level, client string, o connectors.SubscribeOptions) connectors.Subscription {
	t.Helper()
	s, err := e.Subscribe(t.Context(), &exchange.Exchange{QoS: level, ClientIdentifier: client, ClientSupplied: client != ""}, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// take polls once and returns the numbers as text, and the messages.
func take(t testing.TB, s connectors.Subscription, n int) (string, []message.Message) {
	t.Helper()
	ms, err := s.Poll(n)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range ms {
		ids = append(ids, string(m.ID))
	}
	return strings.Join(ids, " "), ms
}

// What the next connection of a client gets, by level and by what it said of five messages.
func TestSubscription_ResumesByLevel(t *testing.T) {
	t.Parallel()
	nothing := func(connectors.Subscription, []message.Message) {}
	through := func(i int) func(connectors.Subscription, []message.Message) {
		return func(s connectors.Subscription, ms []message.Message) { s.DeliveredThrough(&ms[i]) }
	}
	each := func(is ...int) func(connectors.Subscription, []message.Message) {
		return func(s connectors.Subscription, ms []message.Message) {
			for _, i := range is {
				s.Acknowledge(&ms[i])
			}
		}
	}
	for _, tc := range []struct {
		name           string
		level          qos.Level
		client, cursor string
		say            func(connectors.Subscription, []message.Message)
		want           string
	}{
		{"none remembers nothing", qos.None, "c", "", through(4), "0 1 2 3"},
		{"auto resumes", qos.Auto, "c", "", through(2), "3 4 5 6"},
		{"auto, nothing delivered", qos.Auto, "c", "", nothing, "0 1 2 3"},
		{"no identifier", qos.Auto, "", "", through(2), "0 1 2 3"},
		{"cursor wins", qos.Auto, "c", "0", through(2), "1 2 3 4"},
		{"at-least-once again what is unproven", qos.AtLeastOnce, "c", "", through(2), "3 4 5 6"},
		{"at-least-once in any order", qos.AtLeastOnce, "c", "", each(3, 0, 1, 3), "2"},
		{"at-least-once all", qos.AtLeastOnce, "c", "", each(4, 2, 3, 1, 0), "5 6 7 8"},
		{"at-least-once mixed", qos.AtLeastOnce, "c", "", func(s connectors.Subscription, ms []message.Message) {
			each(2)(s, ms)
			through(1)(s, ms)
		}, "3 4 5 6"},
		{"the cursor is a proof", qos.AtLeastOnce, "c", "3", nothing, "4 5 6 7"},
		{"the cursor goes back", qos.AtLeastOnce, "c", "1", each(0, 1, 2, 3), "2 3 4 5"},
		{"at-most-once never again", qos.AtMostOnce, "c", "", nothing, "5 6 7 8"},
		{"at-most-once, cursor goes back", qos.AtMostOnce, "c", "1", nothing, "5 6 7 8"},
		{"at-most-once, from the start", qos.AtMostOnce, "c", "earliest", nothing, "5 6 7 8"},
		{"at-most-once, cursor goes forward", qos.AtMostOnce, "c", "6", nothing, "7 8 9 10"},
		{"gaps are no messages", qos.Auto, "c", "", func(s connectors.Subscription, _ []message.Message) {
			s.DeliveredThrough(&message.Message{Kind: message.Gap, Offset: 3})
			s.Acknowledge(&message.Message{Kind: message.Notice, Offset: 0})
		}, "0 1 2 3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := endpoint(t, `{"messageInterval":0}`)
			s := connect(t, e, tc.level, tc.client, connectors.SubscribeOptions{})
			ids, ms := take(t, s, 5)
			if ids != "0 1 2 3 4" {
				t.Fatalf("first got %s", ids)
			}
			tc.say(s, ms)
			s.Close(t.Context())
			s.Close(t.Context())
			s.Acknowledge(&ms[0]) // too late
			s = connect(t, e, tc.level, tc.client, connectors.SubscribeOptions{Cursor: tc.cursor})
			if ids, _ := take(t, s, 4); ids != tc.want {
				t.Errorf("then got %s, want %s", ids, tc.want)
			}
		})
	}
}

// What was acknowledged out of order is passed over, what lies between is not.
func TestSubscription_PassesOverWhatIsProven(t *testing.T) {
	t.Parallel()
	e := endpoint(t, `{"messageInterval":0}`)
	s := connect(t, e, qos.AtLeastOnce, "c", connectors.SubscribeOptions{})
	_, ms := take(t, s, 8)
	for _, i := range []int{1, 2, 5, 7} {
		s.Acknowledge(&ms[i])
	}
	s.Close(t.Context())
	s = connect(t, e, qos.AtLeastOnce, "c", connectors.SubscribeOptions{})
	var got []string
	for len(got) < 5 {
		ids, _ := take(t, s, 3)
		got = append(got, ids)
	}
	if text := strings.Join(got, ", "); text != "0, 3 4, 6, 8 9 10, 11 12 13" {
		t.Error(text)
	}
	if c := string(s.AppendCursor(nil)); c != "13" {
		t.Errorf("cursor %s", c)
	}
}

// Two connections of one client never get the same message under at-most-once.
func TestSubscription_AtMostOnceOverTwoConnections(t *testing.T) {
	t.Parallel()
	e := endpoint(t, `{"messageInterval":0,"messageCount":7}`)
	a := connect(t, e, qos.AtMostOnce, "c", connectors.SubscribeOptions{})
	b := connect(t, e, qos.AtMostOnce, "c", connectors.SubscribeOptions{})
	got := ""
	for _, s := range []connectors.Subscription{a, b, b, a, b} {
		ids, _ := take(t, s, 2)
		got += ids + ","
	}
	if got != "0 1,2 3,4 5,6,," {
		t.Error(got)
	}
}

func TestSubscription_Until(t *testing.T) {
	for _, tc := range []struct {
		name, cfg, cursor, until string // until: seconds after the beginning, where it begins with +
		want                     string
		took                     time.Duration
	}{
		{"number", `{"messageInterval":0}`, "", "3", "0 1 2", 0},
		{"number behind a cursor", `{"messageInterval":1000}`, "0", "3", "1 2", 2 * time.Second},
		{"number that was passed", `{"messageInterval":1000}`, "8", "3", "", 0},
		{"number beyond the count", `{"messageInterval":0,"messageCount":2}`, "", "9", "0 1", 0},
		{"time", `{"messageInterval":1000}`, "", "+3", "0 1", 3 * time.Second},
		{"time between two", `{"messageInterval":1000}`, "", "+3.5", "0 1 2", 3500 * time.Millisecond},
		{"time that was", `{"messageInterval":1000}`, "", "+-1", "", 0},
		{"time that was, no interval", `{"messageInterval":0}`, "", "+-1", "", 0},
		{"time after the last there is", `{"messageInterval":1000,"messageCount":1}`, "", "+5", "0", time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := endpoint(t, tc.cfg)
				ctx, stop := t.Context(), make(chan error, 1)
				go func() { stop <- e.Run(ctx) }()
				if after, ok := strings.CutPrefix(tc.until, "+"); ok {
					d, err := time.ParseDuration(after + "s")
					if err != nil {
						t.Fatal(err)
					}
					tc.until = "@" + time.Now().Add(d).Format(time.RFC3339Nano)
				}
				wake := make(chan struct{}, 1)
				s := connect(t, e, qos.Auto, "", connectors.SubscribeOptions{Cursor: tc.cursor, Until: tc.until, Wake: func() { wake <- struct{}{} }})
				begun := time.Now()
				var got []string
				for {
					ms, err := s.Poll(10)
					for _, m := range ms {
						got = append(got, string(m.ID))
					}
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if len(ms) == 0 {
						<-wake
					}
				}
				if text := strings.Join(got, " "); text != tc.want || time.Since(begun) != tc.took {
					t.Errorf("%q after %v, want %q after %v", text, time.Since(begun), tc.want, tc.took)
				}
			})
		})
	}
}

func TestSubscribe_RefusesAnEndThatIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x", "-1", "@yesterday", "9223372036854775808"} {
		_, err := endpoint(t, "").Subscribe(t.Context(), &exchange.Exchange{}, connectors.SubscribeOptions{Until: text})
		var f *message.Failure
		if !errors.As(err, &f) || f.Status != 400 || f.Key != message.KeyInvalidCursor || !strings.Contains(f.Message, text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Those that are connected are never forgotten; of the others the one that is away longest is.
func TestMemory_IsBounded(t *testing.T) {
	t.Parallel()
	e := endpoint(t, `{"messageInterval":0}`)
	visit := func(id string) string {
		s := connect(t, e, qos.AtMostOnce, id, connectors.SubscribeOptions{})
		defer s.Close(t.Context())
		ids, _ := take(t, s, 1)
		return ids
	}
	stays := connect(t, e, qos.AtMostOnce, "stays", connectors.SubscribeOptions{})
	take(t, stays, 3)
	visit("first")
	visit("second")
	for i := range maxClients - 1 {
		visit(fmt.Sprint(i))
	}
	if n := len(e.memory.clients); n != maxClients+1 || e.memory.away.Len() != maxClients {
		t.Errorf("%d clients are remembered, %d are away", n, e.memory.away.Len())
	}
	if got := visit("second"); got != "1" {
		t.Errorf("one of the remembered got %s", got)
	}
	if got := visit("first"); got != "0" {
		t.Errorf("the forgotten one got %s", got)
	}
	if got := visit("stays"); got != "3" {
		t.Errorf("the connected one got %s", got)
	}
}

// The acknowledged ranges are exactly what was acknowledged, up to their bound.
func TestClient_Ack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &client{}
		model := map[int64]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "acks") {
			n := rapid.Int64Range(0, 40).Draw(t, "n")
			if rapid.IntRange(0, 9).Draw(t, "through") == 0 {
				c.through(n)
				for i := range n {
					model[i] = true
				}
			} else {
				c.ack(n)
				model[n] = true
			}
			known := func(n int64) bool {
				if n < c.next {
					return true
				}
				for _, r := range c.acked {
					if r.From <= n && n < r.To {
						return true
					}
				}
				return false
			}
			for i := int64(0); i < 50; i++ {
				if known(i) != model[i] {
					t.Fatalf("%d: %v, want %v (%d %v)", i, known(i), model[i], c.next, c.acked)
				}
			}
			for i, r := range c.acked {
				if r.From <= c.next || r.To <= r.From || i > 0 && r.From <= c.acked[i-1].To {
					t.Fatalf("ranges %v above %d", c.acked, c.next)
				}
			}
		}
	})
}

func TestClient_AckIsBounded(t *testing.T) {
	t.Parallel()
	c := &client{}
	for n := int64(1); n < 4*maxRanges; n += 2 {
		c.ack(n)
	}
	if len(c.acked) != maxRanges {
		t.Errorf("%d ranges", len(c.acked))
	}
	for n := int64(0); n < 2*maxRanges; n += 2 {
		c.ack(n)
	}
	if c.next != 2*maxRanges || len(c.acked) != 0 {
		t.Errorf("at %d, %d ranges left", c.next, len(c.acked))
	}
}
