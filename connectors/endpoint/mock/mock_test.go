package mock

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream subscribes and collects n messages as they are due, with the time each took.
func stream(t *testing.T, cfg, cursor string, level qos.Level, n int) (ids []string, took time.Duration) {
	t.Helper()
	e, err := New(json.RawMessage(cfg), nil, connectors.Env{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	defer func() { cancel(); <-done }()
	wake := make(chan struct{}, 1)
	s, err := e.Subscribe(ctx, &exchange.Exchange{QoS: level}, connectors.SubscribeOptions{Cursor: cursor, Wake: func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(ctx)
	begun := time.Now()
	for len(ids) < n {
		ms, err := s.Poll(n - len(ids))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			ids = append(ids, string(m.ID))
		}
		if len(ms) > 0 {
			if got := string(s.AppendCursor(nil)); got != ids[len(ids)-1] {
				t.Fatalf("cursor is %s after %s", got, ids[len(ids)-1])
			}
			continue
		}
		select {
		case <-wake:
		case <-time.After(time.Hour / 2):
			return ids, time.Since(begun)
		}
	}
	return ids, time.Since(begun)
}

func TestSubscription_Streams(t *testing.T) {
	for _, tc := range []struct {
		name, cfg, cursor string
		level             qos.Level
		n                 int
		want              string
		took              time.Duration
	}{
		{"default pace", `{}`, "", qos.Auto, 3, "0 1 2", 3 * time.Second},
		{"own pace", `{"messageInterval":10}`, "", qos.None, 2, "0 1", 20 * time.Millisecond},
		{"no pace", `{"messageInterval":0}`, "", qos.Auto, 4, "0 1 2 3", 0},
		{"resume", `{}`, "4", qos.Auto, 2, "5 6", 2 * time.Second},
		{"no resume under none", `{}`, "4", qos.None, 1, "0", time.Second},
		{"unreadable cursor", `{}`, "x", qos.Auto, 1, "0", time.Second},
		{"count", `{"messageCount":2}`, "", qos.Auto, 3, "0 1", 2*time.Second + time.Hour/2},
		{"count is absolute", `{"messageCount":2}`, "0", qos.Auto, 3, "1", time.Second + time.Hour/2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ids, took := stream(t, tc.cfg, tc.cursor, tc.level, tc.n)
				if got := strings.Join(ids, " "); got != tc.want || took != tc.took {
					t.Fatalf("got %q in %v, want %q in %v", got, took, tc.want, tc.took)
				}
			})
		})
	}
}

func TestEndpoint_MessageHasConfiguredParts(t *testing.T) {
	e, err := New(json.RawMessage(`{"messageInterval":0,"messageContent":"hi","headers":[{"name":"h","value":"v"}],
		"metadata":[{"name":"k","value":"w"}]}`), nil, connectors.Env{})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := e.Subscribe(t.Context(), &exchange.Exchange{}, connectors.SubscribeOptions{})
	ms, _ := s.Poll(1)
	m := &ms[0]
	if h, _ := m.Header("H"); string(m.Content) != "hi" || string(h) != "v" {
		t.Fatalf("got %+v", m)
	}
	if f := m.Metadata(nil); f[0].Name != "k" || f[0].Text != "w" || f[1].Name != "sourceTimestamp" {
		t.Fatalf("metadata %+v", f)
	}
}

type ack struct{ err error }

func (a *ack) Acked(m *message.Message, err error) { a.err = err; m.Release() }

func TestEndpoint_PublishIsCounted(t *testing.T) {
	e, _ := New(nil, nil, connectors.Env{})
	m := message.Get()
	a := &ack{err: context.Canceled}
	m.SetAck(a)
	e.Publish(t.Context(), &exchange.Exchange{}, m)
	if a.err != nil || e.Published() != 1 {
		t.Fatalf("outcome %v, %d published", a.err, e.Published())
	}
}

func TestCheck_Refuses(t *testing.T) {
	for _, cfg := range []string{`{"messageInterval":-1}`, `{"messageCount":-1}`, `{"messageInterval":"often"}`} {
		if Type.Check(json.RawMessage(cfg), nil).Err() == nil {
			t.Errorf("%s is taken", cfg)
		}
	}
}
