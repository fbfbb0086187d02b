package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// loopback is what tests allow.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// kafkaLike is the origin of messages that have positions.
type kafkaLike struct{}

func (*kafkaLike) AppendMetadata(dst []message.Field, m *message.Message) []message.Field {
	return append(dst, message.Field{Name: "offset", Int: m.Offset, IsInt: true})
}

var positions = &kafkaLike{}

// data makes messages 0, 1, ... of these keys; "-" is none.
func data(keys ...string) []message.Message {
	out := make([]message.Message, len(keys))
	for i, k := range keys {
		out[i] = message.Message{Topic: "orders", Offset: int64(i), Content: []byte(`{"n":` + strconv.Itoa(i) + `}`), Origin: positions, Timestamp: 1}
		if k != "-" {
			out[i].Key = []byte(k)
		}
	}
	return out
}

// call is what the receiver got.
type call struct {
	header http.Header
	body   string
	method string
	path   string
	host   string
}

// receiver is a subscriber's server. answer is asked for each call.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
	came  chan struct{} // gets one element per call
}

func newReceiver(t testing.TB, answer func(n int, c call, w http.ResponseWriter)) *receiver {
	r := unstarted(answer)
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func unstarted(answer func(n int, c call, w http.ResponseWriter)) *receiver {
	r := &receiver{came: make(chan struct{}, 10000)}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		c := call{q.Header, string(body), q.Method, q.URL.RequestURI(), q.Host}
		r.mu.Lock()
		r.calls = append(r.calls, c)
		n := len(r.calls)
		r.mu.Unlock()
		if answer != nil {
			answer(n, c, w)
		}
		r.came <- struct{}{}
	}))
	return r
}

func (r *receiver) got() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

func status(codes ...int) func(int, call, http.ResponseWriter) {
	return func(n int, _ call, w http.ResponseWriter) { w.WriteHeader(codes[min(n, len(codes))-1]) }
}

// bed runs one delivery.
type bed struct {
	t        testing.TB
	sub      *fake.Subscription
	backend  *fake.Backend
	env      connectors.Env
	config   string // of the entrypoint
	dispatch *connectors.Dispatch
	level    qos.Level
	replay   bool // as the dispatcher makes its exchange
	call     func(ctx context.Context, request, body []byte, fresh bool, r *reply) error

	mu       sync.Mutex
	attempts []connectors.Attempt
	rests    []string

	patience time.Duration
	cancel   context.CancelFunc
	done     chan struct{}
	err      error
}

func newBed(t testing.TB, level qos.Level, subscription string) *bed {
	b := &bed{t: t, sub: fake.NewSubscription(), env: fake.Env(), level: level, patience: fake.Patience, done: make(chan struct{})}
	b.backend = b.sub.Backend()
	b.env.WebhookAllow, b.env.QoS = loopback, level
	b.dispatch = &connectors.Dispatch{ID: "sub-1", Configuration: json.RawMessage(subscription),
		Attempted: func(a connectors.Attempt) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.attempts = append(b.attempts, a)
		},
		Rests: func(text string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.rests = append(b.rests, text)
		}}
	return b
}

// to is the configuration of a subscription at a receiver, with more settings.
func to(url string, more ...string) string {
	return `{` + strings.Join(append([]string{`"callbackUrl":"` + url + `"`}, more...), ",") + `}`
}

const retryOften = `"retry":{"retryOption":"Retry On Fail","retryStrategy":"EXPONENTIAL","maxAttempts":100,"initialDelaySeconds":1,"maxDelaySeconds":2}`

// start begins the delivery of messages.
func (b *bed) start(msgs ...message.Message) *bed {
	b.t.Helper()
	b.sub.Push(msgs...)
	e, err := New(json.RawMessage(b.config), b.env)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	x := &exchange.Exchange{API: &exchange.API{ID: "api"}, Entrypoint: "webhook", QoS: b.level, Subscription: "sub-1", ClientIdentifier: "sub-1", ClientSupplied: !b.replay}
	go func() {
		defer close(b.done)
		if b.call == nil {
			b.err = e.Dispatch(ctx, x, b.dispatch, b.backend)
			return
		}
		target, ps := readTarget(b.dispatch.Configuration)
		if b.err = ps.Err(); b.err != nil {
			return
		}
		r := newRun(e, target, x, b.dispatch, b.backend)
		r.call = b.call
		b.err = r.deliver(ctx)
	}()
	return b
}

// wait waits for the delivery to end by itself.
func (b *bed) wait() error {
	b.t.Helper()
	select {
	case <-b.done:
	case <-time.After(b.patience):
		b.t.Fatal("the delivery did not end")
	}
	b.cancel()
	return b.err
}

// all delivers all messages and ends.
func (b *bed) all(msgs ...message.Message) error {
	b.t.Helper()
	b.sub.End(io.EOF)
	return b.start(msgs...).wait()
}

// stop ends the delivery from outside.
func (b *bed) stop() error {
	b.t.Helper()
	b.cancel()
	return b.wait()
}

func (b *bed) told() []connectors.Attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]connectors.Attempt(nil), b.attempts...)
}

func (b *bed) rested() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.rests...)
}

// failure is err as a failure.
func failure(t testing.TB, err error) *message.Failure {
	t.Helper()
	var f *message.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure", err)
	}
	return f
}

// await waits for n calls.
func (r *receiver) await(t testing.TB, n int) {
	t.Helper()
	limit := time.After(fake.Patience)
	for range n {
		select {
		case <-r.came:
		case <-limit:
			t.Fatalf("%d calls came, want %d more", len(r.got()), n)
		}
	}
}

// quietLog is for servers whose clients break handshakes.
var quietLog = log.New(io.Discard, "", 0)
