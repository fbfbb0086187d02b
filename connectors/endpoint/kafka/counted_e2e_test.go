//go:build e2e

package kafka

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
)

func realSite(t testing.TB, k *brokers.Kafka, partitions int) *site {
	return newSite(t, k.Addrs(), k.Topic(t, partitions), int32(partitions))
}

func TestReal_LeastOnceSavesWhatIsProved(t *testing.T) {
	testLeastOnceSavesWhatIsProved(t, realSite(t, kafka.Get(t), 3))
}

func TestReal_MostOnceHandsOutWhatIsSaved(t *testing.T) {
	testMostOnceHandsOutWhatIsSaved(t, realSite(t, kafka.Get(t), 3))
}

func TestReal_MembersShareAtLeastOnce(t *testing.T) {
	testMembersShare(t, realSite(t, kafka.Get(t), 6), false)
}

func TestReal_MembersShareAtMostOnce(t *testing.T) {
	testMembersShare(t, realSite(t, kafka.Get(t), 6), true)
}

func TestReal_Takeover(t *testing.T)         { testTakeover(t, realSite(t, kafka.Get(t), 2)) }
func TestReal_PageLeastOnce(t *testing.T)    { testPages(t, realSite(t, kafka.Get(t), 3), false) }
func TestReal_PageMostOnce(t *testing.T)     { testPages(t, realSite(t, kafka.Get(t), 3), true) }
func TestReal_PagesAtOnce(t *testing.T)      { testPagesAtOnce(t, realSite(t, kafka.Get(t), 3)) }
func TestReal_PageBeforeStream(t *testing.T) { testPageBeforeStream(t, realSite(t, kafka.Get(t), 2)) }
func TestReal_PageBesideStream(t *testing.T) { testPageBesideStream(t, realSite(t, kafka.Get(t), 2)) }

func TestReal_ReservedUnheardOf(t *testing.T) { testReservedUnheard(t, realSite(t, kafka.Get(t), 1)) }
func TestReal_ReservedGivenBack(t *testing.T) { testReservedGivenBack(t, realSite(t, kafka.Get(t), 1)) }
func TestReal_ReservedElsewhere(t *testing.T) { testReservedElsewhere(t, realSite(t, kafka.Get(t), 1)) }
func TestReal_ReservedHandedOut(t *testing.T) {
	testReservedAndHandedOut(t, realSite(t, kafka.Get(t), 1))
}

func TestReal_ComeAndGo(t *testing.T) {
	for _, level := range []qos.Level{qos.AtLeastOnce, qos.AtMostOnce} {
		t.Run(level.String(), func(t *testing.T) { testComeAndGo(t, realSite(t, kafka.Get(t), 3), level, 7) })
	}
}

// TestReal_NextGeneration has members whose partitions the broker assigns (KIP-848) keep both levels, alone, together, and coming
// and going.
func TestReal_NextGeneration(t *testing.T) {
	next := func(t *testing.T, partitions int) *site {
		s := realSite(t, kafka.Get(t), partitions)
		s.more = `,"groupProtocol":"consumer"`
		return s
	}
	for _, level := range []qos.Level{qos.AtLeastOnce, qos.AtMostOnce} {
		t.Run(level.String(), func(t *testing.T) {
			t.Run("share", func(t *testing.T) { testMembersShare(t, next(t, 6), level == qos.AtMostOnce) })
			t.Run("come and go", func(t *testing.T) { testComeAndGo(t, next(t, 3), level, 5) })
		})
	}
	t.Run("saves what is proved", func(t *testing.T) { testLeastOnceSavesWhatIsProved(t, next(t, 3)) })
	t.Run("hands out what is saved", func(t *testing.T) { testMostOnceHandsOutWhatIsSaved(t, next(t, 3)) })
	t.Run("is of that type", func(t *testing.T) {
		s := next(t, 1)
		c := &drinkers{t: t}
		c.add(s.worker("", connectors.Limits{}), leastOnce("typed"), connectors.SubscribeOptions{})
		s.produce(1)
		c.until(true, func(message.Message) bool { return true })
		groups, err := kadm.NewClient(s.cl).ListGroupsByType(t.Context(), []string{"consumer"})
		if err != nil || len(groups) == 0 {
			t.Errorf("%v: no group of the type is there: %v", err, groups)
		}
	})
}

// TestReal_CountedOutage kills the broker, with a reservation or proofs under way, and starts it again.
func TestReal_CountedOutage(t *testing.T) {
	k := brokers.StartKafka(t, brokers.KafkaConfig{})
	for _, level := range []qos.Level{qos.AtLeastOnce, qos.AtMostOnce} {
		t.Run(level.String(), func(t *testing.T) {
			s := realSite(t, k, 3)
			h := newStory(t, s, level, "outage-"+level.String())
			b := s.worker("", connectors.Limits{CheckpointEvery: 100 * time.Millisecond})
			h.connect(true)
			c := b.mustOpen(h.x, connectors.SubscribeOptions{})
			s.produce(600)
			// At-most-once may lose what was being reserved when the broker died; the last of each partition ends it.
			take := func(n int) {
				done := func() bool { return len(h.seen) >= n }
				if level == qos.AtMostOnce && n == 700 {
					done = func() bool { return h.seen["697"]+h.seen["698"]+h.seen["699"] == 3 }
				}
				for !done() {
					for _, m := range c.take(1) {
						if m.Kind == message.Data {
							h.deliver(c, m)
						}
					}
				}
			}
			take(100)
			k.Kill()
			hold(t, 2*time.Second)
			for { // what was in memory comes, at-most-once only as far as it was reserved
				view, err := c.sub.Poll(1)
				if err != nil {
					t.Fatal(err)
				}
				if len(view) == 0 {
					break
				}
				if view[0].Kind == message.Data {
					h.deliver(c, view[0])
				}
			}
			before := len(h.seen)
			if level == qos.AtMostOnce && before == 600 {
				t.Error("everything was handed out although nothing could be saved")
			}
			if err := k.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.produce(100)
			take(700)
			h.checkpoint()
			c.sub.Close(t.Context())
			h.checkpoint()
			h.verdict()
			for p, at := range h.saved() {
				if at < 233 {
					t.Errorf("partition %s is saved at %d", p, at)
				}
			}
			if lost := s.sent - len(h.seen); lost > maxReserved {
				t.Errorf("%d messages lost", lost)
			}
			t.Logf("%d messages before the restart, %d in all", before, len(h.seen))
		})
	}
}

// TestReal_CountedRecreatedTopic deletes the topic and makes it again: the gap is told, and no position of the old one is
// taken for one of the new.
func TestReal_CountedRecreatedTopic(t *testing.T) {
	k := kafka.Get(t)
	for _, who := range []func(string) *exchange.Exchange{leastOnce, mostOnce} {
		x := who("recreated")
		t.Run(x.QoS.String(), func(t *testing.T) {
			s := realSite(t, k, 1)
			b := s.worker("", connectors.Limits{CheckpointEvery: 100 * time.Millisecond})
			c := b.mustOpen(x, connectors.SubscribeOptions{})
			s.produce(50)
			ms := c.mustTake(50, 0)
			c.sub.DeliveredThrough(&ms[49])
			adm := kadm.NewClient(s.cl)
			if _, err := adm.DeleteTopics(t.Context(), s.topic); err != nil {
				t.Fatal(err)
			}
			if err := k.CreateTopic(t.Context(), s.topic, 1); err != nil {
				t.Fatal(err)
			}
			s = newSite(t, s.seeds, s.topic, 1)
			s.produce(20)
			var got []message.Message
			gaps := 0
			for len(got) < 20 {
				m := c.take(1)[0]
				switch m.Kind {
				case message.Gap:
					gaps++
				case message.Data:
					got = append(got, m)
				}
			}
			if sorted(got)[0] != "0" || gaps == 0 {
				t.Fatalf("%d gaps, then %v", gaps, contents(got))
			}
			c.sub.DeliveredThrough(&got[9])
			c.sub.Close(t.Context())
			if at, want := s.committed("recreated", 0).At, int64(10); at != want && x.QoS == qos.AtLeastOnce {
				t.Errorf("saved %d, want %d", at, want)
			}
		})
	}
}

// TestReal_CountedRetention cuts the log under a subscriber that is slow, and before one that comes back.
func TestReal_CountedRetention(t *testing.T) {
	for _, who := range []func(string) *exchange.Exchange{leastOnce, mostOnce} {
		x := who("retention")
		t.Run(x.QoS.String(), func(t *testing.T) {
			s := realSite(t, kafka.Get(t), 1)
			b := s.worker("", connectors.Limits{})
			c := b.mustOpen(x, connectors.SubscribeOptions{})
			s.produce(30)
			ms := c.mustTake(10, 0)
			c.sub.DeliveredThrough(&ms[9])
			c.sub.Close(t.Context())
			b.stop()
			to := kadm.Offsets{}
			to.AddOffset(s.topic, 0, 20, -1)
			if _, err := kadm.NewClient(s.cl).DeleteRecords(t.Context(), to); err != nil {
				t.Fatal(err)
			}
			c = s.worker("", connectors.Limits{}).mustOpen(x, connectors.SubscribeOptions{})
			got := c.take(11)
			var g gap
			if err := json.Unmarshal(got[0].Content, &g); err != nil || got[0].Kind != message.Gap || g.Lost != 10 || g.Reason != reasonRetention {
				t.Fatalf("got %s, %v", got[0].Content, err)
			}
			if texts := contents(got[1:]); !slices.Equal(texts, numbers(20, 30)) {
				t.Fatalf("got %v", texts)
			}
			c.sub.DeliveredThrough(&got[10])
			c.sub.Close(t.Context())
			if at := s.committed("retention", 0).At; at != 30 {
				t.Errorf("saved %d", at)
			}
		})
	}
}

func TestReal_Until(t *testing.T)       { testUntil(t, realSite(t, kafka.Get(t), 3)) }
func TestReal_UntilMarker(t *testing.T) { testUntilMarker(t, realSite(t, kafka.Get(t), 1)) }

func TestReal_UntilCompacted(t *testing.T) {
	k := brokers.StartKafka(t, brokers.KafkaConfig{Properties: map[string]string{"log.cleaner.backoff.ms": "50"}})
	topic := "compacted"
	err := k.CreateTopicWith(t.Context(), topic, 1, map[string]string{"cleanup.policy": "compact", "segment.ms": "50", "min.cleanable.dirty.ratio": "0.01"})
	if err != nil {
		t.Fatal(err)
	}
	testUntilCompacted(t, newSite(t, k.Addrs(), topic, 1), func() {}) // the broker does, as time goes by
}

// realField is a field whose prefix no other test has.
func realField(t *testing.T) *field {
	k := kafka.Get(t)
	return &field{newSite(t, k.Addrs(), "", 2), k.Topic(t, 1) + "-"}
}

func TestReal_Pattern(t *testing.T)             { testPattern(t, realField(t)) }
func TestReal_PatternMember(t *testing.T)       { testPatternMember(t, realField(t)) }
func TestReal_PatternTopicDeleted(t *testing.T) { testPatternTopicDeleted(t, realField(t)) }
