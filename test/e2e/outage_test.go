//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/process"
)

// outage is how long the broker is away; slack is what a busy machine may add to a configured time.
const (
	outage         = 15 * time.Second
	requestTimeout = 30 * time.Second // spec 10.1, the default
	slack          = 10 * time.Second
)

// outcomes collects what each POST was told.
type outcomes struct {
	sync.Mutex
	stored, refused, unknown map[string]bool
	slowest                  time.Duration
	odd                      []string
}

func (o *outcomes) add(value string, status int, body string, took time.Duration, err error) {
	o.Lock()
	defer o.Unlock()
	o.slowest = max(o.slowest, took)
	switch {
	case err != nil:
		o.odd = append(o.odd, fmt.Sprintf("%s: %v", value, err))
	case status == http.StatusAccepted:
		o.stored[value] = true
	case status == http.StatusServiceUnavailable:
		o.refused[value] = true
	case status == http.StatusGatewayTimeout && strings.Contains(body, "unknown"):
		o.unknown[value] = true
	default:
		o.odd = append(o.odd, fmt.Sprintf("%s: %d %s", value, status, body))
	}
}

// TestOutage_EveryAnswerIsTrue kills the broker under load, brings it back after 15 s, and holds every answer against the
// topic: 202 is stored, 503 is not, and only a 504 that says so may be either. Streams stay, say what happened and go on.
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
	o := &outcomes{stored: map[string]bool{}, refused: map[string]bool{}, unknown: map[string]bool{}}
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; load.Err() == nil; i++ {
				value, at := fmt.Sprintf("c%d-%d", c, i), time.Now()
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

	waitFor(ctx, t, "some messages stored", func() bool { o.Lock(); defer o.Unlock(); return len(o.stored) > 1000 })
	kafka.Kill()
	select { // the outage itself is what is tried
	case <-time.After(outage):
	case <-ctx.Done():
	}
	if err := kafka.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	// The first POST after the broker is back succeeds, with no restart of ours.
	if status, body, err := post(ctx, url, "first-after"); err != nil || status != http.StatusAccepted {
		t.Errorf("the first POST after the broker is back: %d %s %v", status, body, err)
	}
	o.add("first-after", http.StatusAccepted, "", 0, nil)
	o.Lock()
	before := len(o.stored)
	o.Unlock()
	waitFor(ctx, t, "load going on after the outage", func() bool { o.Lock(); defer o.Unlock(); return len(o.stored) > before+1000 })
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
	t.Logf("told: %d stored, %d not stored, %d unknown; slowest %s; %d GETs", len(o.stored), len(o.refused), len(o.unknown), o.slowest, gets.Load())
	checkStored(ctx, t, kafka, topic, o)
	for name, seen := range map[string]*seen{"SSE": sseSeen, "WebSocket": wsSeen} {
		waitFor(ctx, t, name+" to deliver all that was stored", func() bool { return seen.hasAll(o.stored) })
	}
	if notices.Load() == 0 {
		t.Error("the SSE stream did not say that the broker was away")
	}
}

// checkStored reads the topic with a client of the test's own.
func checkStored(ctx context.Context, t *testing.T, kafka *brokers.Kafka, topic string, o *outcomes) {
	t.Helper()
	ends, err := kafka.EndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, end := range ends {
		total += int(end)
	}
	have := map[string]int{}
	for _, r := range readAll(t, kafka, topic, total) {
		have[string(r.Value)]++
	}
	for v := range o.stored {
		if have[v] == 0 {
			t.Errorf("%s was answered 202 and is not in the topic", v)
		}
	}
	for v := range o.refused {
		if have[v] > 0 {
			t.Errorf("%s was answered 503 (not stored) and is in the topic", v)
		}
	}
	for v, n := range have {
		if n > 1 {
			t.Errorf("%s is in the topic %d times", v, n)
		}
	}
}

// seen is what a stream has delivered.
type seen struct {
	sync.Mutex
	values map[string]int
	err    error
}

func (s *seen) add(v string) { s.Lock(); s.values[v]++; s.Unlock() }

func (s *seen) hasAll(want map[string]bool) bool {
	s.Lock()
	defer s.Unlock()
	for v := range want {
		if s.values[v] == 0 {
			return false
		}
	}
	return true
}

func collectSSE(s *stream) (*seen, *atomic.Int64) {
	out, notices := &seen{values: map[string]int{}}, new(atomic.Int64)
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
	out := &seen{values: map[string]int{}}
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
