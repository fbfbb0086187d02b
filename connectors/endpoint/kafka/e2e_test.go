//go:build e2e

package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/leak"
)

var kafka brokers.SharedKafka

func TestMain(m *testing.M) {
	if os.Getenv(envConfig) != "" {
		fmt.Fprintln(os.Stderr, beMember())
		os.Exit(1)
	}
	brokers.Main(m, kafka.Close, fast.Close, leak.Check)
}

// realBed is an endpoint on a topic of a real Kafka.
func realBed(t testing.TB, k *brokers.Kafka, topic, more string, limits connectors.Limits) *bed {
	cfg := fmt.Sprintf(`{"bootstrapServers":%q,"topics":[%q]%s}`, k.Addr(), topic, more)
	return newBed(t, nil, cfg, limits)
}

// flow publishes one message after the other from several callers, as requests do.
type flow struct {
	b     *bed
	x     *exchange.Exchange
	acked sync.Map // content -> true
	fails sync.Map // content -> *message.Failure
	sent  atomic.Int64
}

type flowAck struct {
	f    *flow
	text string
	done chan error
}

func (a *flowAck) Acked(m *message.Message, err error) {
	m.Release()
	a.done <- err
}

// send publishes and waits for the outcome.
func (f *flow) send(ctx context.Context, text string) error {
	a := &flowAck{f: f, text: text, done: make(chan error, 1)}
	m := message.Get()
	m.SetContent([]byte(text))
	m.SetAck(a)
	f.sent.Add(1)
	f.b.e.Publish(ctx, f.x, m)
	err := <-a.done
	if err == nil {
		f.acked.Store(text, true)
		return nil
	}
	var fail *message.Failure
	if errors.As(err, &fail) {
		f.fails.Store(text, fail)
	}
	return err
}

func TestReal_HundredThousandBothWays(t *testing.T) {
	k := kafka.Get(t)
	const total, callers, partitions = 100_000, 64, 6
	b := realBed(t, k, k.Topic(t, partitions), "", connectors.Limits{})
	live := b.subscribe(auto(), "")
	got := make(chan error, 2)
	count := func(c *client) error {
		seen := map[string]int{}
		next := map[int32]int64{}
		for range total {
			m := c.take(1)[0]
			if m.Offset != next[m.Partition] {
				return fmt.Errorf("partition %d: offset %d, want %d", m.Partition, m.Offset, next[m.Partition])
			}
			next[m.Partition]++
			seen[string(m.Content)]++
		}
		if len(seen) != total || len(next) != partitions {
			return fmt.Errorf("%d different messages in %d partitions", len(seen), len(next))
		}
		return nil
	}
	go func() { got <- count(live) }()
	begun := time.Now()
	var all sync.WaitGroup
	f := &flow{b: b, x: auto()}
	for c := range callers {
		all.Go(func() {
			for i := c; i < total; i += callers {
				if err := f.send(t.Context(), fmt.Sprint(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d callers: %.0f publishes/s", callers, total/time.Since(begun).Seconds())
	begun = time.Now()
	go func() { got <- count(b.subscribe(auto(), "earliest")) }()
	for range 2 {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	t.Logf("catch-up of %d done in %v", total, time.Since(begun))
}

// TestReal_Outage kills the broker under load for 15 s. Every publish gets a true outcome, every acknowledged message is
// delivered to the streams that were open all along, and the first publish after the restart succeeds.
func TestReal_Outage(t *testing.T) {
	const longest = 12 * time.Second // of a publish: ProduceTimeout, a connection attempt, and room for a busy machine
	k := brokers.StartKafka(t, brokers.KafkaConfig{})
	goroutines := runtime.NumGoroutine()
	topic := k.Topic(t, 3)
	b := realBed(t, k, topic, "", connectors.Limits{ProduceTimeout: 5 * time.Second})
	c := b.subscribe(auto(), "")
	f := &flow{b: b, x: auto()}
	// An endpoint that has nothing in flight when the broker dies.
	quiet := realBed(t, k, topic, "", connectors.Limits{ProduceTimeout: 5 * time.Second})
	g := &flow{b: quiet, x: auto()}
	if err := g.send(t.Context(), "quiet, before"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for w := range 8 {
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				begun := time.Now()
				err := f.send(ctx, fmt.Sprintf("%d-%d", w, i))
				if took := time.Since(begun); took > longest {
					t.Errorf("a publish took %v: %v", took, err)
				}
			}
		})
	}
	read := make(chan map[string]int, 1)
	var closed, restored atomic.Int64
	reading, readEnough := context.WithCancel(t.Context())
	go func() {
		seen := map[string]int{}
		defer func() { read <- seen }()
		for reading.Err() == nil {
			view, err := c.sub.Poll(100)
			if err != nil {
				t.Error(err)
				return
			}
			for _, m := range view {
				switch {
				case m.Kind == message.Data:
					seen[string(m.Content)]++
				case strings.Contains(string(m.Content), `"closed":true`):
					closed.Add(1)
				case m.Kind == message.Notice:
					restored.Add(1)
				default:
					t.Errorf("got %s", m.Content)
				}
			}
			if len(view) == 0 {
				select {
				case <-c.wake:
				case <-reading.Done():
				}
			}
		}
	}()
	hold(t, 3*time.Second)
	k.Kill()
	hold(t, 4*time.Second)
	begun := time.Now()
	for _, unknown := range []bool{true, false} { // the first finds out that its connection is dead by writing to it
		if f := failureOf(t, g.send(t.Context(), "quiet, during")); f.Unknown != unknown {
			t.Errorf("publishing while down: %v, unknown %t", f, f.Unknown)
		}
	}
	t.Logf("publishing twice while down failed in %v", time.Since(begun))
	begun = time.Now()
	if _, err := b.trySubscribe(auto(), ""); failureOf(t, err).Key != message.KeyConnectionFailed {
		t.Errorf("subscribing while down: %v", err)
	}
	t.Logf("subscribing while down failed in %v", time.Since(begun))
	if err := k.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	if err := f.send(t.Context(), "first"); err != nil {
		t.Errorf("first publish after the restart: %v", err)
	}
	t.Logf("first publish after the restart took %v", time.Since(begun))
	hold(t, 5*time.Second)
	stop()
	load.Wait()
	f.send(t.Context(), "last")
	if err := g.send(t.Context(), "quiet, after"); err != nil {
		t.Error(err)
	}
	acked, failed, unknown := 0, 0, 0
	f.acked.Range(func(any, any) bool { acked++; return true })
	f.fails.Range(func(_, v any) bool {
		if failed++; v.(*message.Failure).Unknown {
			unknown++
		}
		return true
	})
	hold(t, 3*time.Second)
	readEnough()
	seen := <-read
	lost, ghosts, twice := 0, 0, 0
	f.acked.Range(func(text, _ any) bool {
		if seen[text.(string)] == 0 {
			lost++
		}
		return true
	})
	f.fails.Range(func(text, v any) bool {
		if !v.(*message.Failure).Unknown && seen[text.(string)] > 0 {
			ghosts++
			t.Logf("%s failed with %v and yet is there", text, v)
		}
		return true
	})
	if seen["quiet, during"] > 0 || seen["quiet, after"] != 1 {
		t.Errorf("quiet endpoint: %d stored while down, %d after", seen["quiet, during"], seen["quiet, after"])
	}
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	t.Logf("sent %d: acked %d, failed %d of which unknown %d; read %d; notices: closed %d, restored %d",
		f.sent.Load(), acked, failed, unknown, len(seen), closed.Load(), restored.Load())
	if lost+ghosts+twice > 0 || failed == 0 || closed.Load() != 1 || restored.Load() != 1 {
		t.Errorf("%d acknowledged messages lost, %d refused ones stored, %d delivered twice", lost, ghosts, twice)
	}
	c.sub.Close(t.Context())
	b.stop()
	quiet.stop()
	if n := runtime.NumGoroutine(); n > goroutines+2 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
}

// hold lets real time pass: what an outage of a real broker is measured in.
func hold(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func TestReal_SlowSubscriberCostsBoundedMemory(t *testing.T) {
	k := kafka.Get(t)
	const ringBytes, size = 8 << 20, 4 << 10
	b := realBed(t, k, k.Topic(t, 3), "", connectors.Limits{RingBytes: ringBytes, CatchUpBytes: 2 << 20})
	slowNone, slowAuto := b.subscribe(none(), ""), b.subscribe(auto(), "")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.DefaultProduceTopic(b.e.set.topics[0]),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	const total = 40_000 // 160 MiB
	value := make([]byte, size)
	for i := range total {
		cl.Produce(t.Context(), &kgo.Record{Value: value}, nil)
		if i%500 == 0 { // they read a little, and so fall off and catch up
			_, _ = slowNone.sub.Poll(1)
			_, _ = slowAuto.sub.Poll(1)
		}
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	watcher := b.subscribe(none(), "")
	cl.ProduceSync(t.Context(), &kgo.Record{Value: value})
	watcher.take(1)
	runtime.GC()
	runtime.GC() // what sync.Pools keep over the first
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > ringBytes*3 {
		t.Errorf("heap grew by %d MiB", grown>>20)
	} else {
		t.Logf("heap grew by %d MiB for a ring of %d MiB and %d MiB read", grown>>20, ringBytes>>20, total*size>>20)
	}
	if n := b.e.stats.ringBytes.Load(); n > ringBytes*5/4 {
		t.Errorf("the ring has %d bytes", n)
	}
	lost := 0
	for _, m := range slowNone.take(2) {
		if m.Kind == message.Gap {
			lost++
		}
	}
	if lost == 0 {
		t.Error("no gap was told to the slow client under none")
	}
}

func TestReal_FiveHundredSubscribersOneReader(t *testing.T) {
	k := kafka.Get(t)
	b := realBed(t, k, k.Topic(t, 6), "", connectors.Limits{})
	var clients []*client
	for range 500 {
		clients = append(clients, b.subscribe(auto(), ""))
	}
	f := &flow{b: b, x: auto()}
	for i := range 200 {
		if err := f.send(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range clients {
		if got := c.take(200); string(got[199].Content) == "" {
			t.Fatal("empty message")
		}
	}
	if n, more := b.e.stats.readers.Load(), b.e.stats.leases.Load(); n != 1 || more != 0 {
		t.Fatalf("%d readers, %d catch-up readers", n, more)
	}
}

func TestReal_CheckpointSurvivesTheWorker(t *testing.T) {
	k := kafka.Get(t)
	topic := k.Topic(t, 3)
	x := func() *exchange.Exchange {
		return &exchange.Exchange{QoS: qos.Auto, ClientSupplied: true, ClientIdentifier: topic}
	}
	seen := map[string]int{}
	for round := range 3 {
		b := realBed(t, k, topic, "", connectors.Limits{})
		c := b.subscribe(x(), "")
		f := &flow{b: b, x: auto()}
		for i := range 20 {
			if err := f.send(t.Context(), fmt.Sprint(round, "-", i)); err != nil {
				t.Fatal(err)
			}
		}
		want := 10 // the first worker leaves 10, the second takes 20 and leaves 10
		if round > 0 {
			want = 20
		}
		ms := c.take(want)
		for _, m := range ms {
			seen[string(m.Content)]++
		}
		c.sub.DeliveredThrough(&ms[want-1])
		b.stop() // without Close: the worker ends
	}
	if len(seen) != 50 {
		t.Fatalf("%d different messages", len(seen))
	}
	for text, n := range seen {
		if n > 1 {
			t.Errorf("%s came %d times", text, n)
		}
	}
}
