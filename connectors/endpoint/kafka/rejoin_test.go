package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
)

// sequence checks that offsets of every partition come without gap and without repetition.
type sequence struct {
	next map[int32]int64
	n    int
}

func (q *sequence) take(t interface{ Fatalf(string, ...any) }, ms []message.Message) {
	for i := range ms {
		m := &ms[i]
		if m.Kind != message.Data {
			t.Fatalf("got kind %d: %s", m.Kind, m.Content)
		}
		if want, ok := q.next[m.Partition]; ok && m.Offset != want {
			t.Fatalf("partition %d: offset %d, want %d", m.Partition, m.Offset, want)
		}
		q.next[m.Partition] = m.Offset + 1
		q.n++
	}
}

// TestCatchUp_NoGapNoDuplicate lets subscribers fall off a small ring, catch up with few leases and rejoin, in random
// interleavings with a producer: each of them sees every offset once and in order.
func TestCatchUp_NoGapNoDuplicate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBed(t, cluster(t, 3, "orders"), oneTopicEarliest, connectors.Limits{
			RingBytes:      rapid.IntRange(32<<10, 256<<10).Draw(rt, "ring"),
			CatchUpReaders: rapid.IntRange(1, 3).Draw(rt, "leases"),
			CatchUpBytes:   rapid.IntRange(1, 512<<10).Draw(rt, "catch up"),
		})
		defer b.cluster.Close()
		defer b.stop()
		cl := plainProducer(t, b)
		defer cl.Close()
		clients := make([]*client, rapid.IntRange(1, 4).Draw(rt, "clients"))
		seen := make([]*sequence, len(clients))
		for i := range clients {
			clients[i] = b.subscribe(auto(), "earliest")
			seen[i] = &sequence{next: map[int32]int64{0: 0, 1: 0, 2: 0}}
		}
		total := 0
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "produce") {
				n := rapid.IntRange(1, 400).Draw(rt, "messages")
				produce(rt, cl, n, rapid.IntRange(1, 2000).Draw(rt, "size"))
				total += n
				continue
			}
			i := rapid.IntRange(0, len(clients)-1).Draw(rt, "who")
			seen[i].take(rt, clients[i].some(rapid.IntRange(1, 300).Draw(rt, "most"), total-seen[i].n))
		}
		for i, c := range clients {
			for seen[i].n < total {
				seen[i].take(rt, c.take(min(100, total-seen[i].n)))
			}
			if view, err := c.sub.Poll(10); len(view) > 0 || err != nil {
				rt.Fatalf("client %d also got %d messages, %v", i, len(view), err)
			}
			c.sub.Close(context.Background())
		}
	})
}

// some takes up to most messages, without waiting for more than there are.
func (c *client) some(most, there int) []message.Message {
	var out []message.Message
	for len(out) < min(most, there) {
		out = append(out, c.take(1)...)
	}
	return out
}

func plainProducer(t testing.TB, b *bed) *kgo.Client {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ProducerLinger(0), kgo.DefaultProduceTopic("orders"),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func produce(t interface{ Fatalf(string, ...any) }, cl *kgo.Client, n, size int) {
	records := make([]*kgo.Record, n)
	value := []byte(strings.Repeat("x", size))
	for i := range records {
		records[i] = &kgo.Record{Value: value}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// TestCatchUp_FewLeasesServeMany: more laggards than leases all come through, by time slices.
func TestCatchUp_FewLeasesServeMany(t *testing.T) {
	b := newBed(t, cluster(t, 2, "orders"), oneTopicEarliest, connectors.Limits{
		RingBytes: 64 << 10, CatchUpReaders: 2, CatchUpBytes: 256 << 10})
	cl := plainProducer(t, b)
	defer cl.Close()
	produce(t, cl, 2000, 500)
	var clients []*client
	for range 10 {
		clients = append(clients, b.subscribe(auto(), ""))
	}
	done := make(chan error, len(clients))
	for _, c := range clients {
		go func() { done <- c.drain(2000) }()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := b.e.stats.leases.Load(); n > 2 {
		t.Errorf("%d leases", n)
	}
}

// drain takes n messages and checks their order; for goroutines.
func (c *client) drain(n int) error {
	next := map[int32]int64{}
	deadline := time.After(30 * time.Second)
	for n > 0 {
		view, err := c.sub.Poll(100)
		if err != nil {
			return err
		}
		for i := range view {
			if m := &view[i]; m.Offset != next[m.Partition] {
				return fmt.Errorf("partition %d: offset %d, want %d", m.Partition, m.Offset, next[m.Partition])
			}
			next[view[i].Partition]++
		}
		if n -= len(view); len(view) > 0 {
			continue
		}
		select {
		case <-c.wake:
		case <-deadline:
			return fmt.Errorf("%d messages missing", n)
		}
	}
	return nil
}
