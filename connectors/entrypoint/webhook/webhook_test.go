package webhook

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestDispatch_PostsMessages(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := newBed(t, qos.AtLeastOnce, to(r.URL+"/in?a=b%20c", `"headers":[{"name":"X-Sub","value":"s"},{"name":"X-Both","value":"subscription"}]`))
	msgs := data("k")
	msgs[0].Headers = []message.Header{{Name: "x-both", Value: []byte("message")}, {Name: "Content-Type", Value: []byte("application/json")},
		{Name: "Content-Length", Value: []byte("1")}, {Name: "bad name", Value: []byte("x")}, {Name: "X-Split", Value: []byte("a\r\nX-Evil: b")},
		{Name: "X-Twice", Value: []byte("1")}, {Name: "X-Twice", Value: []byte("2")}}
	if err := b.all(msgs...); err != nil {
		t.Fatal(err)
	}
	calls := r.got()
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	c := calls[0]
	if c.method != "POST" || c.path != "/in?a=b%20c" || c.body != `{"n":0}` || c.host != strings.TrimPrefix(r.URL, "http://") {
		t.Errorf("got %+v", c)
	}
	for name, want := range map[string][]string{"X-Sub": {"s"}, "X-Both": {"message"}, "Content-Type": {"application/json"}, "X-Twice": {"1", "2"},
		"X-Split": nil, "X-Evil": nil, "User-Agent": {"sluice"}, "Webhook-Id": {"orders@0#0"}, "Webhook-Signature": nil} {
		if got := c.header.Values(name); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := b.sub.Acknowledged(); !slices.Equal(got, []int64{0}) {
		t.Errorf("acknowledged %v", got)
	}
	if a := b.told(); len(a) != 1 || a[0].Outcome != connectors.Delivered || a[0].Status != 200 || a[0].Number != 1 || a[0].Message != "orders@0#0" || a[0].Bytes != 7 {
		t.Errorf("told %+v", a)
	}
}

func TestDispatch_TombstonesAreEmpty(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := newBed(t, qos.Auto, to(r.URL))
	if err := b.all(message.Message{Key: []byte("k")}); err != nil {
		t.Fatal(err)
	}
	if c := r.got()[0]; c.body != "" || !strings.HasPrefix(c.header.Get("webhook-id"), "msg_") {
		t.Errorf("got %+v", c)
	}
}

// TestDispatch_Outcomes: what each answer leads to, by level, with and without dead letters (spec 2.5).
func TestDispatch_Outcomes(t *testing.T) {
	t.Parallel()
	const dlq = true
	type want struct {
		err     string // key of the failure and whether trying again could help; empty: none
		outcome connectors.Outcome
		acked   bool
		dead    int
	}
	for _, c := range []struct {
		name   string
		status int
		level  qos.Level
		dlq    bool
		want   want
	}{
		{"201", 201, qos.AtLeastOnce, false, want{"", connectors.Delivered, true, 0}},
		{"500", 500, qos.AtLeastOnce, false, want{"WEBHOOK_UNREACHABLE true 500", connectors.GivenUp, false, 0}},
		{"503 auto", 503, qos.Auto, false, want{"WEBHOOK_UNREACHABLE true 503", connectors.GivenUp, false, 0}},
		{"500 dlq", 500, qos.AtLeastOnce, dlq, want{"", connectors.DeadLettered, true, 1}},
		{"400", 400, qos.AtLeastOnce, false, want{"MESSAGE_PROCESSING_FAILED false 500", connectors.GivenUp, false, 0}},
		{"404 dlq", 404, qos.AtLeastOnce, dlq, want{"", connectors.DeadLettered, true, 1}},
		{"429", 429, qos.AtLeastOnce, false, want{"WEBHOOK_UNREACHABLE true 429", connectors.GivenUp, false, 0}},
		{"429 dlq", 429, qos.AtLeastOnce, dlq, want{"", connectors.DeadLettered, true, 1}},
		{"302", 302, qos.AtLeastOnce, false, want{"MESSAGE_PROCESSING_FAILED false 500", connectors.GivenUp, false, 0}},
		{"401", 401, qos.AtLeastOnce, dlq, want{"WEBHOOK_UNAUTHORIZED false 401", connectors.GivenUp, false, 0}},
		{"410", 410, qos.AtLeastOnce, dlq, want{"WEBHOOK_GONE false 410", connectors.GivenUp, false, 0}},
		{"410 none", 410, qos.None, false, want{"WEBHOOK_GONE false 410", connectors.GivenUp, false, 0}},
		{"500 none", 500, qos.None, false, want{"", connectors.GivenUp, false, 0}},
		{"500 at most once", 500, qos.AtMostOnce, false, want{"", connectors.GivenUp, false, 0}},
		{"500 at most once dlq", 500, qos.AtMostOnce, dlq, want{"", connectors.DeadLettered, false, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, func(_ int, _ call, w http.ResponseWriter) {
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte("because"))
			})
			retry := `"retry":{}`
			if !repeatable(c.level) { // they are tried once, whatever the subscription says
				retry = retryOften
			}
			b := newBed(t, c.level, to(r.URL, retry))
			b.env.DeadLetters = c.dlq
			letters := &letters{}
			b.backend.OnDeadLetter = letters.take
			err := b.all(data("k")...)
			got := ""
			if err != nil {
				f := failure(t, err)
				got = fmt.Sprint(f.Key, " ", f.Retry, " ", f.Status)
				if !strings.Contains(err.Error(), "orders@0#0") || !strings.Contains(err.Error(), r.URL) {
					t.Errorf("does not name message and receiver: %v", err)
				}
			}
			if got != c.want.err {
				t.Errorf("ended with %q (%v), want %q", got, err, c.want.err)
			}
			if n := len(r.got()); n != 1 {
				t.Errorf("%d calls", n)
			}
			if a := b.told(); len(a) != 1 || a[0].Outcome != c.want.outcome || a[0].Status != c.status {
				t.Errorf("told %+v", a)
			}
			if n := len(b.sub.Acknowledged()); n == 1 != c.want.acked {
				t.Errorf("%d acknowledged", n)
			}
			if n := len(letters.got()); n != c.want.dead {
				t.Errorf("%d dead letters", n)
			}
		})
	}
}

func repeatable(l qos.Level) bool { return l == qos.Auto || l == qos.AtLeastOnce }

func TestDispatch_DeadLettersSayWhy(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(n int, _ call, w http.ResponseWriter) {
		if n <= 2 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte("no such order"))
		}
	})
	b := newBed(t, qos.AtLeastOnce, to(r.URL, `"concurrency":1`))
	b.env.DeadLetters = true
	letters := &letters{}
	b.backend.OnDeadLetter = letters.take
	msgs := data("a", "b", "c")
	msgs[0].Headers = []message.Header{{Name: "trace", Value: []byte{0xff}}}
	if err := b.all(msgs...); err != nil {
		t.Fatal(err)
	}
	got := letters.got()
	if len(got) != 2 { // T412: two 4xx, then 200
		t.Fatalf("%d letters", len(got))
	}
	want := "a|{\"n\":0}|trace=\xff|sluice-dlq-reason=the receiver answers 400: \"no such order\"|sluice-dlq-status=400|sluice-dlq-subscription=sub-1|" +
		"sluice-dlq-topic=orders|sluice-dlq-partition=0|sluice-dlq-offset=0"
	if got[0] != want {
		t.Errorf("got  %q\nwant %q", got[0], want)
	}
	if acked := b.sub.Acknowledged(); !slices.Equal(acked, []int64{0, 1, 2}) {
		t.Errorf("acknowledged %v", acked)
	}
}

func TestDispatch_DeadLetterThatIsNotStoredIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, status(400))
	b := newBed(t, qos.AtLeastOnce, to(r.URL))
	b.env.DeadLetters = true
	b.backend.OnDeadLetter = (&letters{err: &message.Failure{Status: 503, Message: "broker is away"}}).take
	f := failure(t, b.all(data("k")...))
	if !f.Retry || len(b.sub.Acknowledged()) != 0 || !strings.Contains(f.Error(), "broker is away") {
		t.Errorf("%+v, acknowledged %v", f, b.sub.Acknowledged())
	}
}

func TestDispatch_Signed(t *testing.T) {
	t.Parallel()
	const old, fresh, foreign = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	r := newReceiver(t, nil)
	b := newBed(t, qos.AtLeastOnce, to(r.URL, `"signature":{"secrets":["`+fresh+`","`+old+`"]}`))
	msgs := data("k", "-")
	msgs[1].Content = []byte(strings.Repeat("large", smallBody))
	msgs[0].Headers = []message.Header{{Name: "webhook-id", Value: []byte("forged")}}
	if err := b.all(msgs...); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.got() {
		for secret, good := range map[string]bool{old: true, fresh: true, foreign: false} {
			v, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Verify([]byte(c.body), c.header); (err == nil) != good {
				t.Errorf("%s: %v, want good %t", secret, err, good)
			}
		}
	}
}

func TestDispatch_AutoConfirmsInOrder(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	r := newReceiver(t, func(_ int, c call, _ http.ResponseWriter) {
		if c.body == `{"n":0}` {
			<-release
		}
	})
	b := newBed(t, qos.Auto, to(r.URL)).start(data("a", "b", "c")...)
	r.await(t, 2)
	if at := b.sub.Delivered(); at != -1 {
		t.Errorf("delivered through %d while 0 is under way", at)
	}
	close(release)
	r.await(t, 1)
	b.sub.End(errEnd)
	if err := b.wait(); err == nil {
		t.Error("ended without the endpoint's failure")
	}
	if at := b.sub.Delivered(); at != 2 {
		t.Errorf("delivered through %d", at)
	}
	if acked := b.sub.Acknowledged(); len(acked) != 0 {
		t.Errorf("acknowledged %v", acked)
	}
}

var errEnd = &message.Failure{Status: 500, Key: message.KeyConnectionClosed, Message: "away"}

// TestDispatch_ForcedToOne: one connection is strictly one message after the other, also across keys.
func TestDispatch_ForcedToOne(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := newBed(t, qos.AtLeastOnce, to(r.URL))
	b.config = `{"http":{"maxConcurrentConnections":1}}`
	var keys []string
	for i := range 50 {
		keys = append(keys, []string{"a", "b", "-"}[i%3])
	}
	if err := b.all(data(keys...)...); err != nil {
		t.Fatal(err)
	}
	for i, c := range r.got() {
		if c.body != fmt.Sprintf(`{"n":%d}`, i) {
			t.Fatalf("call %d is %s", i, c.body)
		}
	}
}

func TestDispatch_ToldOfGaps(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := newBed(t, qos.None, to(r.URL, `"concurrency":1`))
	msgs := data("a", "a", "a")
	gap := message.Message{Kind: message.Gap, Content: []byte("{\"lost\":\n 3}")}
	if err := b.all(msgs[0], gap, msgs[1], msgs[2]); err != nil {
		t.Fatal(err)
	}
	calls := r.got()
	if len(calls) != 3 || calls[0].header.Get("sluice-gap") != "" || calls[1].header.Get("sluice-gap") != `{"lost":3}` || calls[2].header.Get("sluice-gap") != "" {
		t.Errorf("got %+v", calls)
	}
}

// TestDispatch_GapsAreToldUntilSomebodyHears: with a message that is not taken they are not told, and one does not take another's
// place.
func TestDispatch_GapsAreToldUntilSomebodyHears(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, status(500, 200))
	b := newBed(t, qos.AtMostOnce, to(r.URL, `"concurrency":1`))
	gap := func(text string) message.Message { return message.Message{Kind: message.Gap, Content: []byte(text)} }
	many := `{"lost":9,"partitions":[` + strings.Repeat(`{"topic":"orders","partition":1,"first":1,"next":2},`, 100) + `{}],"reason":"reserved"}`
	msgs := data("a", "a", "a", "a")
	if err := b.all(gap(`{"lost":1}`), gap(many), msgs[0], msgs[1], msgs[2], msgs[3]); err != nil {
		t.Fatal(err)
	}
	var told [][]string
	for _, c := range r.got() {
		told = append(told, c.header.Values("sluice-gap"))
	}
	both := []string{`{"lost":1}`, `{"lost":9,"reason":"reserved"}`}
	if len(told) != 4 || !slices.Equal(told[0], both) || !slices.Equal(slices.Concat(told[1:]...), both) {
		t.Errorf("told %q", told)
	}
}

// TestDispatch_WhatTheEndpointRefusesIsTriedAgain: a subscription must not end for ever because of what another revision of the
// API, the broker's operator or time mends.
func TestDispatch_WhatTheEndpointRefusesIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key    string
		status int
		retry  bool
	}{
		{message.KeyConfigurationInvalid, 500, true}, // a topic that is missing, a name that does not resolve, a certificate that ran out
		{message.KeyConnectionFailed, 503, true},
		{message.KeyConnectionClosed, 409, true}, // somebody of the same name took over, and may go
		{"RATE_LIMIT_TOO_MANY_REQUESTS", 429, true},
		{message.KeyInvalidCursor, 400, false}, // of a replay
	} {
		f := &message.Failure{Key: c.key, Status: c.status}
		for _, late := range []bool{false, true} {
			b := newBed(t, qos.Auto, to("http://127.0.0.1:1"))
			if late {
				b.sub.End(f)
			} else {
				b.backend.OnSubscribe = func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
					return nil, f
				}
			}
			if got := failure(t, b.start().wait()); got.Retry != c.retry || got.Key != c.key || f.Retry {
				t.Errorf("%s, while it runs: %t: %+v", c.key, late, got)
			}
		}
	}
}

// TestDispatch_OwnMistakesAreFinal: what the subscription itself says wrong, it says until it is changed.
func TestDispatch_OwnMistakesAreFinal(t *testing.T) {
	t.Parallel()
	for _, cfg := range []string{`{}`, `{"callbackUrl":"https://example.com","ssl":{"trustStore":{"type":"PEM","content":"none"}}}`} {
		if f := failure(t, newBed(t, qos.Auto, cfg).start().wait()); f.Key != message.KeyConfigurationInvalid || f.Retry {
			t.Errorf("%s: %+v", cfg, f)
		}
	}
}

func TestDispatch_StopWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(int, call, http.ResponseWriter) {
		arrived <- struct{}{}
		<-release
	})
	b := newBed(t, qos.AtLeastOnce, to(r.URL, `"concurrency":1`)).start(data("a", "a")...)
	<-arrived
	b.cancel()
	close(release)
	if err := b.wait(); err != nil {
		t.Fatal(err)
	}
	if acked := b.sub.Acknowledged(); !slices.Equal(acked, []int64{0}) || len(r.got()) != 1 {
		t.Errorf("acknowledged %v after %d calls, want the one under way alone", acked, len(r.got()))
	}
	select {
	case <-b.sub.Closed:
	default:
		t.Error("the subscription was left open")
	}
}

func TestDispatch_StopCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(int, call, http.ResponseWriter) {
		arrived <- struct{}{}
		<-release
	})
	defer close(release)
	b := newBed(t, qos.AtLeastOnce, to(r.URL))
	b.env.Limits.Drain = 1
	b.start(data("a")...)
	<-arrived
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if acked := b.sub.Acknowledged(); len(acked) != 0 {
		t.Errorf("acknowledged %v", acked)
	}
	if a := b.told(); len(a) != 1 || a[0].Outcome != connectors.GivenUp || a[0].Err == "" {
		t.Errorf("told %+v", a)
	}
}

// TestDispatch_AtMostOnceSendsWhatItPolled: the checkpoint is beyond what was polled, so a stop must not leave it.
func TestDispatch_AtMostOnceSendsWhatItPolled(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	r := newReceiver(t, func(int, call, http.ResponseWriter) {
		arrived <- struct{}{}
		<-release
	})
	b := newBed(t, qos.AtMostOnce, to(r.URL, `"concurrency":2`)).start(data("a", "a", "a", "a")...)
	<-arrived
	b.cancel()
	close(release)
	if err := b.wait(); err != nil {
		t.Fatal(err)
	}
	if polled := 4 - b.sub.Waiting(); polled != 2 || len(r.got()) != polled {
		t.Errorf("%d polled, %d sent, want 2", polled, len(r.got()))
	}
}

// TestDispatch_GoAway: what was polled before it is still sent.
func TestDispatch_GoAway(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := newBed(t, qos.AtMostOnce, to(r.URL, `"concurrency":4`)).start(append(data("a", "a", "a"), message.Message{Kind: message.GoAway})...)
	if f := failure(t, b.wait()); f.Key != "goaway" || !f.Retry || len(r.got()) != 3 {
		t.Errorf("%+v after %d calls", f, len(r.got()))
	}
}

func TestDispatch_ReplayEnds(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := newBed(t, qos.AtLeastOnce, to(r.URL))
	b.dispatch.From, b.dispatch.Until, b.dispatch.Instance = "earliest", "@2026-11-22T10:00:00Z", "i-1"
	if err := b.all(data("a", "b", "-")...); err != nil {
		t.Fatal(err)
	}
	if o := b.sub.Options(); o.Cursor != "earliest" || o.Until != b.dispatch.Until || o.Instance != "i-1" || o.Wake == nil {
		t.Errorf("asked for %+v", o)
	}
	if len(r.got()) != 3 {
		t.Errorf("%d calls", len(r.got()))
	}
}
