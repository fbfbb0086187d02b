//go:build e2e

package kafka

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
)

// TestReal_OneOfThreeDies kills, under load, the broker that leads a partition, and then gives it its partitions back. What was
// acknowledged is stored, and comes to a member of a group, which outlives both, at least once and to a stream under auto.
func TestReal_OneOfThreeDies(t *testing.T) {
	began := time.Now()
	step := func(what string) {
		t.Helper()
		t.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	k := brokers.StartKafka(t, brokers.KafkaConfig{Nodes: 3})
	step("three nodes serve")
	topic := k.Topic(t, 6)
	s := newSite(t, k.Addrs(), topic, 6)
	b := s.worker("", connectors.Limits{ProduceTimeout: 20 * time.Second, CheckpointEvery: 100 * time.Millisecond})
	member := b.mustOpen(leastOnce("survivor"), connectors.SubscribeOptions{})
	stream := b.mustOpen(auto(), connectors.SubscribeOptions{Cursor: "earliest"})

	f := &flow{b: b, x: auto()}
	acked := make(chan struct{}, 1<<16)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	for w := range 8 {
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if f.send(t.Context(), fmt.Sprint(w, "-", i)) == nil {
					select {
					case acked <- struct{}{}:
					case <-ctx.Done():
					}
				}
			}
		})
	}
	more := func(n int) {
		t.Helper()
		deadline := time.After(60 * time.Second)
		for range n {
			select {
			case <-acked:
			case <-deadline:
				t.Fatal("publishing does not go on")
			}
		}
	}
	more(500)
	admin := kadm.NewClient(s.cl)
	leader := leaderOf(t, admin, topic, 0)
	for _, n := range k.Nodes() {
		if n.ID() != int(leader) {
			continue
		}
		n.Kill()
		step("published, and a leader killed")
		more(500)
		step("published without it")
		if err := n.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	step("it is back")
	for leaderOf(t, admin, topic, 0) != leader { // the partitions move back, while messages come and go
		if _, err := admin.ElectLeaders(t.Context(), kadm.ElectPreferredReplica, nil); err != nil {
			t.Log("elect:", err) // the node is not in sync yet
		}
		more(20)
	}
	more(500)
	stop()
	step("the partitions are back")
	load.Wait()

	var want []string
	f.acked.Range(func(text, _ any) bool { want = append(want, text.(string)); return true })
	refused := 0
	f.fails.Range(func(text, fail any) bool {
		refused++
		t.Logf("not acknowledged: %v: %v", text, fail)
		return true
	})
	stored := map[string]bool{}
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for ; left > 0; left-- {
		for _, r := range cl.PollRecords(t.Context(), 1).Records() {
			stored[string(r.Value)] = true
		}
	}
	step("all that is stored was read")
	for name, c := range map[string]*client{"member": member, "stream": stream} {
		seen := map[string]bool{}
		for missing := len(want); missing > 0; {
			m := c.take(1)[0]
			if m.Kind != message.Data {
				t.Logf("%s: %s", name, m.Content)
				continue
			}
			c.sub.DeliveredThrough(&m)
			if _, ok := f.acked.Load(string(m.Content)); ok && !seen[string(m.Content)] {
				missing--
			}
			seen[string(m.Content)] = true
		}
	}
	step("all that was acknowledged was received")
	for _, text := range want {
		if !stored[text] {
			t.Errorf("%s was acknowledged and is not stored", text)
		}
	}
	t.Logf("%d acknowledged, %d not", len(want), refused)
}

func leaderOf(t *testing.T, admin *kadm.Client, topic string, partition int32) int32 {
	t.Helper()
	meta, err := admin.Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return meta.Topics[topic].Partitions[partition].Leader
}
