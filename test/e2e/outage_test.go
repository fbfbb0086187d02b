//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/process"
)

// outage is how long the broker is away; slack is what a busy machine may add to a configured time.
const (
	outage         = 15 * time.Second
	requestTimeout = 30 * time.Second // spec 10.1, the default
	slack          = 10 * time.Second
)

// outcomes collects what each POST was told, for the judge.
type outcomes struct {
	sync.Mutex
	events  []judge.Event
	stored  int
	slowest time.Duration
	odd     []string
}

// add takes the answer to a POST of "key number".
func (o *outcomes) add(value string, status int, body string, took time.Duration, err error) {
	o.Lock()
	defer o.Unlock()
	o.slowest = max(o.slowest, took)
	e := message(value)
	e.Kind = judge.Produced
	o.events = append(o.events, e)
	switch {
	case err != nil:
		o.odd = append(o.odd, fmt.Sprintf("%s: %v", value, err))
		return
	case status == http.StatusAccepted:
		e.Kind = judge.Stored
		o.stored++
	case status == http.StatusServiceUnavailable:
		e.Kind = judge.Refused
	case status == http.StatusGatewayTimeout && strings.Contains(body, "unknown"):
		return // produced, and nobody knows
	default:
		o.odd = append(o.odd, fmt.Sprintf("%s: %d %s", value, status, body))
		return
	}
	o.events = append(o.events, e)
}

func (o *outcomes) count() int {
	o.Lock()
	defer o.Unlock()
	return o.stored
}

// message reads which one it is.
func message(value string) judge.Event {
	key, number, _ := strings.Cut(value, " ")
	seq, _ := strconv.ParseInt(number, 10, 64)
	return judge.Event{Key: key, Seq: seq}
}

// TestOutage_EveryAnswerIsTrue kills the broker under load, brings it back after 15 s, and has qos/judge hold every answer
// against the topic: 202 is stored, 503 is not, and only a 504 that says so may be either. Streams stay, say what happened, go
// on, and get everything.
func TestOutage_EveryAnswerIsTrue(t *testing.T) {
	kafka := brokers.StartKafka(t, brokers.KafkaConfig{})
	dev := startDev(t, "--no-samples")
	topic := kafka.Topic(t, 3)
	deploy(t, dev, apiOf(t, t.Name(), "/outage", kafka.Addr(), topic,
		entrypoint("http-post", "AUTO", nil), entrypoint("sse", "AUTO", nil), entrypoint("websocket", "AUTO", nil),
		entrypoint("http-get", "AUTO", object{"messagesLimitDurationMs": 500})))
	url := dev.Gateway + "/outage"
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()

	sse := openSSE(ctx, t, url)
	sseSeen, notices := collectSSE(sse)
	wsSeen := collectWS(t, url)

	load, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	o := &outcomes{}
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; load.Err() == nil; i++ {
				value, at := fmt.Sprintf("c%d %d", c, i), time.Now()
				status, body, err := post(ctx, url, value)
				o.add(value, status, body, time.Since(at), err)
			}
		}()
	}
	var gets, badGets atomic.Int64
	wg.Add(1)
	go func() {
		defer wg.Done()
		for load.Err() == nil {
			at := time.Now()
			status, _, err := get(ctx, url, "Accept", "application/json")
			gets.Add(1)
			if err != nil || (status != http.StatusOK && status != http.StatusServiceUnavailable) || time.Since(at) > requestTimeout+slack {
				badGets.Add(1)
			}
		}
	}()

	waitFor(ctx, t, "some messages stored", func() bool { return o.count() > 1000 })
	kafka.Kill()
	// Those that were on their way when the broker died may wait for it; who comes now has sent nothing yet.
	late := time.After(outage / 5)
	for away := time.After(outage); away != nil; { // the outage itself is what is tried
		select {
		case <-late:
			for i := range 20 {
				wg.Go(func() {
					value, at := fmt.Sprintf("late %d", i), time.Now()
					status, body, err := post(ctx, url, value)
					o.add(value, status, body, time.Since(at), err)
				})
			}
		case <-away:
			away = nil
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
	if err := kafka.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	// POSTs succeed once the broker is back, with no restart of ours. What the outage itself made fail may still be answered at
	// that moment: such an answer must be true as well.
	back := time.Now()
	for i := 0; ; i++ {
		value := fmt.Sprintf("after %d", i)
		status, body, err := post(ctx, url, value)
		o.add(value, status, body, 0, err)
		if err == nil && status == http.StatusAccepted {
			break
		}
		t.Logf("%s after the broker is back: %d %s %v", time.Since(back), status, body, err)
		if time.Since(back) > slack {
			t.Fatalf("no POST is stored although the broker is back")
		}
	}
	before := o.count()
	waitFor(ctx, t, "load going on after the outage", func() bool { return o.count() > before+1000 })
	stopLoad()
	wg.Wait()

	if len(o.odd) > 0 {
		t.Errorf("%d POSTs ended in an unexpected way, the first: %s", len(o.odd), o.odd[0])
	}
	if o.slowest > requestTimeout+slack {
		t.Errorf("the slowest POST took %s", o.slowest)
	}
	if gets.Load() == 0 || badGets.Load() > 0 {
		t.Errorf("%d of %d GETs ended badly", badGets.Load(), gets.Load())
	}
	for name, seen := range map[string]*seen{"SSE": sseSeen, "WebSocket": wsSeen} {
		waitFor(ctx, t, name+" to deliver all that was stored", func() bool { return seen.hasAll(o) })
	}
	if notices.Load() == 0 {
		t.Error("the SSE stream did not say that the broker was away")
	}
	v := judgeOutage(ctx, t, kafka, topic, o, map[string]*seen{"SSE": sseSeen, "WebSocket": wsSeen})
	t.Logf("told: %d stored, %d not stored, %d unknown; slowest %s; %d GETs", v.Stored, v.Refused, v.Unknown, o.slowest, gets.Load())
	if err := v.Err(); err != nil {
		t.Error(err)
	}
}

// judgeOutage judges what producers were told and what streams delivered; a reader of the test's own is the witness of what
// the topic holds.
func judgeOutage(ctx context.Context, t *testing.T, kafka *brokers.Kafka, topic string, o *outcomes, streams map[string]*seen) *judge.Verdict {
	t.Helper()
	ends, err := kafka.EndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, end := range ends {
		total += int(end)
	}
	const held = judge.Loss | judge.Duplicate | judge.Invention
	j := judge.New()
	add := func(e judge.Event) {
		if err := j.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	subscribe := func(name string, rules judge.Rules) {
		add(judge.Event{Kind: judge.Subscribed, Subscriber: name, Level: "auto", Rules: rules, Cursor: judge.Cursor{judge.Everywhere: 0}})
	}
	for _, e := range o.events {
		add(e)
	}
	subscribe("topic", held)
	for _, r := range readAll(t, kafka, topic, total) {
		e := message(string(r.Value))
		e.Kind, e.Subscriber, e.Partition, e.Offset = judge.Delivered, "topic", strconv.Itoa(int(r.Partition)), r.Offset
		add(e)
	}
	for name, s := range streams {
		subscribe(name, held|judge.OrderPerPartition|judge.SilentGap)
		for _, value := range s.list() {
			e := message(value)
			e.Kind, e.Subscriber = judge.Delivered, name
			add(e)
		}
	}
	return j.Verdict()
}

// seen is what a stream has delivered.
type seen struct {
	sync.Mutex
	values []string
	known  map[number]bool
	err    error
}

// number tells messages apart.
type number struct {
	key string
	seq int64
}

func newSeen() *seen { return &seen{known: map[number]bool{}} }

func (s *seen) add(v string) {
	s.Lock()
	defer s.Unlock()
	s.values = append(s.values, v)
	m := message(v)
	s.known[number{m.Key, m.Seq}] = true
}

func (s *seen) list() []string {
	s.Lock()
	defer s.Unlock()
	return slices.Clone(s.values)
}

// hasAll tells whether everything that was answered as stored has come.
func (s *seen) hasAll(o *outcomes) bool {
	s.Lock()
	defer s.Unlock()
	return !slices.ContainsFunc(o.events, func(e judge.Event) bool { return e.Kind == judge.Stored && !s.known[number{e.Key, e.Seq}] })
}

func collectSSE(s *stream) (*seen, *atomic.Int64) {
	out, notices := newSeen(), new(atomic.Int64)
	go func() { // ends when the test closes the stream
		for {
			e, err := s.next()
			switch {
			case err != nil:
				out.Lock()
				out.err = err
				out.Unlock()
				return
			case e.name == "message":
				out.add(e.data)
			case e.name == "notice":
				notices.Add(1)
			}
		}
	}()
	return out, notices
}

func collectWS(t *testing.T, url string) *seen {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	out := newSeen()
	go func() { // ends when the test closes the socket
		for {
			_, frame, err := conn.ReadMessage()
			if err != nil {
				out.Lock()
				out.err = err
				out.Unlock()
				return
			}
			out.add(string(frame))
		}
	}()
	return out
}

// waitFor polls until ok, which must come true before ctx ends.
func waitFor(ctx context.Context, t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, process.Within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s: %v", what, errors.Join(ctx.Err(), context.Cause(ctx)))
		}
	}
}
