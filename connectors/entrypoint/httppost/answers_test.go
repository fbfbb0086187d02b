package httppost

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// shop is an API whose broker counts.
type shop struct {
	t     testing.TB
	e     *Entrypoint
	api   string
	each  func(m *message.Message) // nil: stored
	mu    sync.Mutex
	taken int
}

func open(t testing.TB, cfg string, known *answers) *shop {
	t.Helper()
	env := connectors.Env{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), QoS: qos.Auto, Limits: connectors.DefaultLimits}
	e, err := build([]byte(cfg), env, known)
	if err != nil {
		t.Fatal(err)
	}
	return &shop{t: t, e: e, api: "a"}
}

func (s *shop) Publish(_ context.Context, _ *exchange.Exchange, m *message.Message) {
	s.mu.Lock()
	s.taken++
	n := s.taken
	s.mu.Unlock()
	if s.each != nil {
		s.each(m)
		return
	}
	m.Topic, m.Offset = "t", int64(n)
	m.Done(nil)
}

func (s *shop) Subscribe(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
	panic("not asked for")
}

func (s *shop) DeadLetter(context.Context, *exchange.Exchange, *message.Message) {
	panic("not asked for")
}

// post sends one request and returns "status body", with a star where the answer is another request's.
func (s *shop) post(key, body string, headers ...string) string {
	var fctx fasthttp.RequestCtx
	fctx.Request.Header.SetMethod(fasthttp.MethodPost)
	fctx.Request.SetRequestURI("/a")
	for i := 0; i < len(headers); i += 2 {
		fctx.Request.Header.Set(headers[i], headers[i+1])
	}
	fctx.Request.Header.Set(headerKey, key)
	fctx.Request.SetBodyString(body)
	x := &exchange.Exchange{API: &exchange.API{ID: s.api}, QoS: qos.Auto, HTTP: &fctx}
	s.e.Handle(s.t.Context(), x, s)
	text := fmt.Sprint(fctx.Response.StatusCode(), " ", string(fctx.Response.Body()))
	if len(fctx.Response.Header.Peek(headerReplayed)) > 0 {
		text = "*" + text
	}
	return strings.TrimSpace(text)
}

func (s *shop) is(got, want string, taken int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got != want || s.taken != taken {
		s.t.Errorf("%s, %d published; want %s, %d", got, s.taken, want, taken)
	}
}

var described = []string{headerPrefer, returnRepresentation}

const first = `{"stored":1,"refused":0,"unknown":0,"messages":[{"index":0,"result":"stored","topic":"t","partition":0,"offset":1}]}`

func TestAnswers_Repeat(t *testing.T) {
	t.Parallel()
	s := open(t, "", newAnswers(maxAnswersBytes))
	s.is(s.post("k", "x"), "202", 1)
	s.is(s.post("k", "x"), "*202", 1)
	s.is(s.post("k", "x", described...), "*202 "+first, 1) // each gets the form it asks for
	s.is(s.post("k", "y"), "422 Idempotency-Key was used for another request; nothing was stored", 1)
	s.is(s.post("k", "x", "Content-Type", "text/x"), "422 Idempotency-Key was used for another request; nothing was stored", 1)
	s.is(s.post("k", "x", "Traceparent", "00-1"), "*202", 1)
	s.is(s.post("l", "x"), "202", 2)
	s.is(s.post("", "x"), "202", 3)
	s.is(s.post("", "x"), "202", 4)
	s.is(s.post(strings.Repeat("k", 256), "x"), "400 Invalid Idempotency-Key: longer than 255 bytes", 4)
	s.api = "b"
	s.is(s.post("k", "x"), "202", 5)
}

func TestAnswers_SwitchedOff(t *testing.T) {
	t.Parallel()
	s := open(t, `{"idempotencyWindowMs":0}`, newAnswers(maxAnswersBytes))
	s.is(s.post("k", "x"), "202", 1)
	s.is(s.post("k", "x"), "202", 2)
}

// A redeployed API goes on with what its earlier revision knows.
func TestAnswers_OutliveARedeploy(t *testing.T) {
	t.Parallel()
	known := newAnswers(maxAnswersBytes)
	s := open(t, "", known)
	s.is(s.post("k", "x"), "202", 1)
	next := open(t, "", known)
	next.is(next.post("k", "x"), "*202", 0)
}

// What was not stored may be tried again with its key; what may be stored may not, and says so again.
func TestAnswers_ByOutcome(t *testing.T) {
	t.Parallel()
	refuse := func(m *message.Message) { m.Done(&message.Failure{Status: 503, Message: "down"}) }
	lose := func(m *message.Message) { m.Done(&message.Failure{Status: 504, Message: "who knows", Unknown: true}) }
	s := open(t, "", newAnswers(maxAnswersBytes))
	s.each = refuse
	s.is(s.post("k", "x"), "503 down", 1)
	s.is(s.post("k", "x"), "503 down", 2)
	s.each = nil
	s.is(s.post("k", "x"), "202", 3)
	s.is(s.post("k", "x"), "*202", 3)
	s.each = lose
	s.is(s.post("l", "x"), "504 who knows; it is unknown whether the message was stored", 4)
	s.each = nil
	s.is(s.post("l", "x"), "*504 who knows; it is unknown whether the message was stored", 4)

	n := 0
	s.each = func(m *message.Message) {
		if n++; n == 2 {
			refuse(m)
			return
		}
		m.Done(nil)
	}
	lines := []string{"Content-Type", typeLines}
	partly := `503 {"message":"1 of 2 messages were not stored, or it is unknown whether they were","http_status_code":503,"stored":1,"refused":1,"unknown":0,` +
		`"messages":[{"index":0,"result":"stored"},{"index":1,"result":"refused","status":503,"message":"down"}]}`
	s.is(s.post("m", "1\n2\n", lines...), partly, 6)
	s.is(s.post("m", "1\n2\n", lines...), "*"+partly, 6)
	s.is(s.post("n", "\n", lines...), "202", 6)
	s.is(s.post("n", "\n", lines...), "202", 6)
	s.is(s.post("o", "{", lines...), "400 Invalid batch: line 1: is not JSON; nothing was stored", 6)
	s.is(s.post("o", "1", lines...), "202", 7)
}

// A request that finds its first try under way gets that one's answer, also where the first client has given up by then.
func TestAnswers_Join(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "", newAnswers(maxAnswersBytes))
		late := make(chan *message.Message, 1)
		s.each = func(m *message.Message) { late <- m }
		got := make(chan string, 3)
		send := func() { got <- s.post("k", "x") }
		go send()
		time.Sleep(20 * time.Second)
		go send()
		if text := <-got; !strings.HasPrefix(text, "504 Request timeout") {
			t.Errorf("the first try: %s", text)
		}
		go send()
		synctest.Wait()
		(<-late).Done(nil)
		for range 2 {
			s.is(<-got, "*202", 1)
		}
		s.is(s.post("k", "x"), "*202", 1)
	})
}

// One that joins and runs out of time itself learns that the outcome is unknown.
func TestAnswers_JoinInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "", newAnswers(maxAnswersBytes))
		var m *message.Message
		s.each = func(got *message.Message) { m = got }
		for _, star := range []string{"", "*"} {
			s.is(s.post("k", "x"), star+"504 Request timeout: no acknowledgement in time; it is unknown whether the message was stored", 1)
		}
		m.Done(&message.Failure{Status: 503, Message: "not stored"})
		s.each = nil
		s.is(s.post("k", "x"), "202", 2)
	})
}

func TestAnswers_Expire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := newAnswers(maxAnswersBytes)
		long, short := open(t, "", known), open(t, `{"idempotencyWindowMs":1000}`, known)
		long.api, short.api = "long", "short"
		long.is(long.post("k", "x"), "202", 1)
		short.is(short.post("k", "x"), "202", 1)
		time.Sleep(999 * time.Millisecond)
		short.is(short.post("k", "x"), "*202", 1)
		time.Sleep(time.Millisecond)
		short.is(short.post("k", "x"), "202", 2) // behind one that is known longer
		time.Sleep(10*time.Minute - time.Second)
		long.is(long.post("k", "x"), "202", 2)
		if known.oldest.Len() != 1 || len(known.entries) != 1 {
			t.Errorf("%d settled, %d known", known.oldest.Len(), len(known.entries))
		}
	})
}

// The table never outgrows its bound: the oldest answers go first, and where all is under way, more is refused.
func TestAnswers_AreBounded(t *testing.T) {
	t.Parallel()
	const some = 10
	known := newAnswers(some * (entryBytes + slotBytes + 10))
	s := open(t, "", known)
	for i := range 3 * some {
		s.is(s.post(fmt.Sprintf("%02d", i), "x"), "202", i+1)
		if known.bytes > known.limit {
			t.Fatalf("%d bytes of %d", known.bytes, known.limit)
		}
	}
	s.is(s.post("29", "x"), "*202", 3*some)
	s.is(s.post("00", "x"), "202", 3*some+1)

	for i := 0; ; i++ {
		key := fmt.Sprint("b", i)
		var fctx fasthttp.RequestCtx
		fctx.Request.Header.Set(headerKey, key)
		x := &exchange.Exchange{API: &exchange.API{ID: "b"}, HTTP: &fctx}
		if _, _, f := known.begin(x, key, time.Minute, time.Now()); f != nil {
			if f.Status != 503 || i < some || known.bytes > known.limit {
				t.Errorf("after %d: %v, %d bytes", i, f, known.bytes)
			}
			break
		}
	}
}

// A batch whose answer does not fit is not kept, rather than too much.
func TestAnswers_TooLargeToKeep(t *testing.T) {
	t.Parallel()
	known := newAnswers(entryBytes + 10*slotBytes)
	s := open(t, "", known)
	s.is(s.post("k", strings.Repeat("1\n", 20), "Content-Type", typeLines), "202", 20)
	if known.bytes != 0 || len(known.entries) != 0 {
		t.Errorf("%d bytes, %d entries", known.bytes, len(known.entries))
	}
}

// A panic behind the entrypoint leaves an answer that says what is known: nothing.
func TestAnswers_Panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "", newAnswers(maxAnswersBytes))
		s.each = func(*message.Message) { panic("policy") }
		func() {
			defer func() { _ = recover() }()
			s.post("k", "x")
		}()
		s.each = nil
		s.is(s.post("k", "x"), "*504 Request timeout: no acknowledgement in time; it is unknown whether the message was stored", 1)
		time.Sleep(10 * time.Minute)
		s.is(s.post("k", "x"), "202", 2)
	})
}

// Many at once with one key are one request.
func TestAnswers_Race(t *testing.T) {
	t.Parallel()
	s := open(t, "", newAnswers(maxAnswersBytes))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := s.post("k", "1\n2\n3\n", "Content-Type", typeLines); strings.TrimPrefix(got, "*") != "202" {
				t.Error(got)
			}
		})
	}
	wg.Wait()
	s.is(s.post("k", "1\n2\n3\n", "Content-Type", typeLines), "*202", 3)
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{`[{"content":"a","key":"k","headers":{"h":["1"]},"topic":"x"}]`, "1\n\n{}\r\n", `[{"contentBase64":"AA==","keyBase64":""}]`,
		`[{"value":null}]`, `{"content":1}` + "\n" + `{"content":"\ud800"}`, `[[[`, "[{\"content\":1}", "\xff"} {
		for i := range 4 {
			f.Add([]byte(s), uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		r := reader{most: 5, topics: []string{"x"}}
		all, failure := r.read(body, form(kind%4))
		if failure != nil {
			if failure.Status != 400 && failure.Status != 413 || !strings.HasSuffix(failure.Message, "nothing was stored") {
				t.Fatalf("%v", failure)
			}
			return
		}
		if len(all) > 5 {
			t.Fatalf("%d elements", len(all))
		}
		size := 0
		for i := range all {
			m := message.Get()
			all[i].fill(m)
			if (m.Content == nil) != (all[i].content == nil) || string(m.Content) != string(all[i].content) || string(m.Key) != string(all[i].key) ||
				all[i].topic != "" && all[i].topic != "x" {
				t.Fatalf("%+v became %+v", all[i], m)
			}
			size += len(m.Content) + len(m.Key)
			m.Release()
		}
		if size > 3*len(body) { // a byte of text becomes U+FFFD at most
			t.Fatalf("%d bytes out of %d", size, len(body))
		}
	})
}

func FuzzPrefers(f *testing.F) {
	for _, s := range []string{"", "return=representation", "a=b;c , RETURN=minimal;x", ",,;", "return=representation, return=minimal"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		wanted, ok := returnOf(line)
		text := strings.ToLower(string(line))
		if wanted && !ok || wanted && !strings.Contains(text, returnRepresentation) || ok && !wanted && !strings.Contains(text, returnMinimal) {
			t.Fatalf("%q: %v %v", line, wanted, ok)
		}
	})
}
