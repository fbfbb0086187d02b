package webhook

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

const benchKeys = 1024

// source gives n messages of benchKeys keys, each with its number, and ends.
type source struct {
	msgs  []message.Message
	acked atomic.Int64
}

func newSource(n int) *source {
	s := &source{msgs: make([]message.Message, n)}
	body := make([]byte, 1000)
	for i := range body {
		body[i] = 'x'
	}
	for i := range s.msgs {
		key := strconv.AppendInt(nil, int64(i%benchKeys), 10)
		s.msgs[i] = message.Message{Topic: "orders", Offset: int64(i), Key: key, Origin: positions,
			Content: append(strconv.AppendInt(nil, int64(i), 10), body...)}
	}
	return s
}

func (s *source) Poll(most int) ([]message.Message, error) {
	if len(s.msgs) == 0 {
		return nil, io.EOF
	}
	n := min(most, len(s.msgs))
	out := s.msgs[:n]
	s.msgs = s.msgs[n:]
	return out, nil
}
func (s *source) DeliveredThrough(*message.Message) {}
func (s *source) Acknowledge(*message.Message)      { s.acked.Add(1) }
func (s *source) AppendCursor(dst []byte) []byte    { return dst }
func (s *source) Close(context.Context)             {}

// sink is a receiver that takes its time, fails every failing-th call (0: none) and holds each key to its order.
type sink struct {
	url    string
	wrong  atomic.Int64
	calls  atomic.Int64
	last   [benchKeys]atomic.Int64
	server *fasthttp.Server
}

func newSink(tb testing.TB, latency time.Duration, failing int64) *sink {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &sink{url: "http://" + ln.Addr().String() + "/in"}
	s.server = &fasthttp.Server{NoDefaultDate: true, Handler: func(ctx *fasthttp.RequestCtx) {
		if latency > 0 {
			time.Sleep(latency)
		}
		if n := s.calls.Add(1); failing > 0 && n%failing == 0 {
			ctx.SetStatusCode(fasthttp.StatusInternalServerError)
			return
		}
		s.note(ctx.PostBody())
	}}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.server.Serve(ln) })
	tb.Cleanup(func() {
		_ = s.server.Shutdown()
		wg.Wait()
	})
	return s
}

func (s *sink) note(body []byte) {
	n := int64(0)
	for i := 0; i < len(body) && body[i] >= '0' && body[i] <= '9'; i++ {
		n = n*10 + int64(body[i]-'0')
	}
	if s.last[n%benchKeys].Swap(n+1) > n {
		s.wrong.Add(1)
	}
}

// through delivers n messages to a sink and returns how many went per second.
func through(tb testing.TB, n, concurrency int, to *sink) float64 {
	tb.Helper()
	env := fake.Env()
	env.WebhookAllow = loopback
	e, err := New(nil, env)
	if err != nil {
		tb.Fatal(err)
	}
	d := &connectors.Dispatch{ID: "s", Attempted: func(connectors.Attempt) {}, Rests: func(string) {},
		Configuration: json.RawMessage(`{"callbackUrl":"` + to.url + `",` + retryOften + `,"concurrency":` + strconv.Itoa(concurrency) + `}`)}
	target, ps := readTarget(d.Configuration)
	if err := ps.Err(); err != nil {
		tb.Fatal(err)
	}
	target.backoff.initial, target.backoff.most = time.Millisecond, time.Millisecond // shorter than a subscription can say
	src := newSource(n)
	backend := &fake.Backend{OnSubscribe: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
		return src, nil
	}}
	dial := &dialer{guard: guard{loopback}, timeout: time.Second}
	c := newClient(dial, target.url, nil, time.Minute, 10*time.Second)
	defer c.close()
	r := newRun(e, target, &exchange.Exchange{QoS: qos.AtLeastOnce}, d, backend)
	r.client, r.call = c, c.call
	begun := time.Now()
	if err := r.deliver(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	took := time.Since(begun)
	if got := src.acked.Load(); got != int64(n) || to.wrong.Load() != 0 {
		tb.Fatalf("%d of %d acknowledged, %d out of order", got, n, to.wrong.Load())
	}
	return float64(n) / took.Seconds()
}

// bare posts n messages with fasthttp's own client from as many goroutines.
func bare(tb testing.TB, n, concurrency int, to *sink) float64 {
	tb.Helper()
	src := newSource(n)
	c := &fasthttp.HostClient{Addr: to.url[len("http://") : len(to.url)-len("/in")], MaxConns: concurrency, MaxIdleConnDuration: time.Millisecond, NoDefaultUserAgentHeader: true,
		Dial: func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }} // its own dialer never ends a goroutine
	defer c.CloseIdleConnections()
	var next atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for range concurrency {
		wg.Go(func() {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(resp)
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				req.Reset()
				req.SetRequestURI(to.url)
				req.Header.SetMethod(fasthttp.MethodPost)
				req.SetBodyRaw(src.msgs[i].Content)
				if err := c.DoTimeout(req, resp, 10*time.Second); err != nil || resp.StatusCode() != fasthttp.StatusOK {
					tb.Errorf("%v, %d", err, resp.StatusCode())
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(begun).Seconds()
}

// BenchmarkThroughput compares 64 messages under way with one, at a receiver that takes 2 ms and fails 5 % of the calls, each key in
// order; and with fasthttp's client, which keeps no order and acknowledges nothing, at a receiver that takes no time.
func BenchmarkThroughput(b *testing.B) {
	const inFlight = 64
	b.Run("failing receiver", func(b *testing.B) {
		for b.Loop() {
			one := through(b, 1000, 1, newSink(b, 2*time.Millisecond, 20))
			many := through(b, 20000, inFlight, newSink(b, 2*time.Millisecond, 20))
			b.ReportMetric(one, "one/s")
			b.ReportMetric(many, "many/s")
			b.ReportMetric(many/one, "x")
		}
	})
	b.Run("bare client", func(b *testing.B) {
		for b.Loop() {
			ours := through(b, 50000, inFlight, newSink(b, 0, 0))
			theirs := bare(b, 50000, inFlight, newSink(b, 0, 0))
			b.ReportMetric(ours, "ours/s")
			b.ReportMetric(theirs, "bare/s")
			b.ReportMetric(ours/theirs, "ratio")
		}
	})
}
