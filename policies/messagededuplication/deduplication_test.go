package messagededuplication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func compiled(t testing.TB, cfg string, phase policies.Phase) any {
	t.Helper()
	made, problems := compile(json.RawMessage(cfg), policies.Env{Phase: phase})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return made
}

// told remembers what publishers were told.
type told struct{ errs []error }

func (a *told) Acked(_ *message.Message, err error) { a.errs = append(a.errs, err) }

// send runs the step on a message with a key, and renders what comes of it.
func send(p policies.MessagePolicy, key string, a message.Ack) (*message.Message, string) {
	m := &message.Message{Content: []byte(key)}
	m.SetAck(a)
	var c policies.Context
	c.Init(&exchange.Exchange{}, nil)
	c.SetMessage(m)
	err := p.OnMessage(context.Background(), &c, m)
	var f *message.Failure
	switch {
	case errors.As(err, &f):
		return m, fmt.Sprint(f.Status, " ", f.Key)
	case err == policies.ErrDrop:
		return m, "dropped"
	case err != nil:
		return m, err.Error()
	}
	return m, "kept"
}

func TestPublish_AKeyCountsWhenItsMessageIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := compiled(t, `{"key":"{#message.content}","windowSeconds":60}`, policies.Publish).(policies.MessagePolicy)
		a := &told{}
		expect := func(what, key, want string) *message.Message {
			t.Helper()
			m, got := send(p, key, a)
			if got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
			return m
		}
		m := expect("the first", "a", "kept")
		expect("while it is under way", "a", "503 MESSAGE_DEDUPLICATION_PENDING")
		expect("another key", "b", "kept")
		m.Done(errors.New("not stored"))
		m = expect("after it failed", "a", "kept")
		m.Done(nil)
		expect("after it was stored", "a", "dropped")
		time.Sleep(59 * time.Second)
		expect("just within the window", "a", "dropped")
		time.Sleep(time.Second)
		expect("behind the window", "a", "kept")
		expect("no key", "", "kept")
		expect("no key, again", "", "kept")
		if len(a.errs) != 2 || a.errs[0] == nil || a.errs[1] != nil {
			t.Errorf("publishers were told %v", a.errs)
		}
	})
}

func TestSubscribe_EachConnectionIsOnItsOwn(t *testing.T) {
	t.Parallel()
	p := compiled(t, `{"key":"{#message.content}"}`, policies.Subscribe).(policies.Connector)
	var c policies.Context
	for range 2 {
		own, got := p.Connect(&c), ""
		for _, key := range []string{"a", "b", "a", "a", "c", ""} {
			_, what := send(own, key, nil)
			got += what[:1]
		}
		if got != "kkddkk" {
			t.Errorf("kept and dropped: %s", got)
		}
	}
}

func TestWindow_IsBounded(t *testing.T) {
	t.Parallel()
	p := compiled(t, `{"key":"{#message.content}","maxEntries":3}`, policies.Subscribe).(policies.Connector)
	own, got := p.Connect(nil), ""
	for _, key := range strings.Split("a b c a d a b", " ") { // d makes the step forget a, which makes it forget b
		_, what := send(own, key, nil)
		got += what[:1]
	}
	if got != "kkkdkkk" {
		t.Errorf("by entries: %s", got)
	}
	q := compiled(t, `{"key":"{#message.content}","maxBytes":65536,"maxEntries":1000000}`, policies.Subscribe).(*perConnection)
	const fit = 65536 / perEntry
	first := q.Connect(nil)
	for i := range 2 * fit {
		send(first, fmt.Sprint(i), nil)
	}
	if _, what := send(first, fmt.Sprint(2*fit-1), nil); what != "dropped" || q.held.Load() > 65536 {
		t.Errorf("by bytes: %s, %d held", what, q.held.Load())
	}
	second := q.Connect(nil)
	send(second, "x", nil)
	if _, what := send(second, "x", nil); what != "kept" {
		t.Errorf("where others hold everything: %s", what)
	}
	runtime.KeepAlive(first)
}

// TestWindow_EndsWithItsConnection: what a connection held is given back when nobody has it any more.
func TestWindow_EndsWithItsConnection(t *testing.T) {
	t.Parallel()
	p := compiled(t, `{"key":"{#message.content}"}`, policies.Subscribe).(*perConnection)
	func() {
		own := p.Connect(nil)
		send(own, "a", nil)
		if p.held.Load() != perEntry {
			t.Errorf("%d held", p.held.Load())
		}
		runtime.KeepAlive(own)
	}()
	end := time.Now().Add(10 * time.Second)
	for p.held.Load() != 0 && time.Now().Before(end) {
		runtime.GC()
		runtime.Gosched()
	}
	if p.held.Load() != 0 {
		t.Errorf("%d held for ever", p.held.Load())
	}
}

func TestKeysThatCannotBeEvaluated(t *testing.T) {
	t.Parallel()
	const key = `"key":"{#message.headers['none'][0]}"`
	if _, got := send(compiled(t, `{`+key+`}`, policies.Publish).(policies.MessagePolicy), "x", nil); got != "kept" {
		t.Errorf("KEEP: %s", got)
	}
	if _, got := send(compiled(t, `{`+key+`,"onError":"FAIL"}`, policies.Publish).(policies.MessagePolicy), "x", nil); got != "500 MESSAGE_DEDUPLICATION_FAILURE" {
		t.Errorf("FAIL: %s", got)
	}
}
