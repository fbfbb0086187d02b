package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// rest takes what there is until the subscription says that there will be no more.
func (c *client) rest() (out []string) {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		view, err := c.sub.Poll(7)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			c.t.Fatal(err)
		}
		if out = append(out, contents(view)...); len(view) > 0 {
			continue
		}
		select {
		case <-c.wake:
		case <-deadline:
			c.t.Fatalf("no end after %v", out)
		}
	}
}

func testUntil(t *testing.T, s *site) {
	b := s.worker(`,"encodeMessageId":false`, connectors.Limits{})
	s.produce(30)
	all := b.mustOpen(auto(), connectors.SubscribeOptions{Cursor: "earliest"}).take(30)
	hour := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	past := time.UnixMilli(all[0].Timestamp).Add(-time.Hour).UTC().Format(time.RFC3339)
	for _, tc := range []struct {
		name, from, until string
		want              []string
	}{
		{"an id", "earliest", string(all[9].ID), contents(all[:10])},
		{"between two ids", string(all[4].ID), string(all[9].ID), contents(all[5:10])},
		{"where it begins", string(all[4].ID), string(all[4].ID), nil},
		{"a time ahead", "earliest", "@" + hour, contents(all)},
		{"a time before all", "earliest", "@" + past, nil},
		{"beyond the end", "earliest", s.topic + "@0#999999", contentsOfPartition(all, 0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, level := range []qos.Level{qos.None, qos.Auto, qos.AtMostOnce, qos.AtLeastOnce} { // none of which saves anything here
				group := s.topic + "-looks-back"
				x := &exchange.Exchange{QoS: level, ClientIdentifier: group, ClientSupplied: true}
				c := b.mustOpen(x, connectors.SubscribeOptions{Cursor: tc.from, Until: tc.until, Instance: "worker"})
				got, want := c.rest(), slices.Clone(tc.want)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("%s: got %v, want %v", level, got, want)
				}
				c.sub.Close(t.Context())
				if at := s.committed(group, 0).At; at != -1 {
					t.Errorf("%s: saved %d", level, at)
				}
			}
		})
	}
	_, err := b.open(auto(), connectors.SubscribeOptions{Until: "earliest"})
	if f := failureOf(t, err); f.Status != statusBadCursor {
		t.Error(f)
	}
}

func contentsOfPartition(ms []message.Message, partition int32) (out []string) {
	for i := range ms {
		if ms[i].Partition == partition {
			out = append(out, string(ms[i].Content))
		}
	}
	return out
}

// testUntilMarker ends at a log whose last offset is a transaction's marker, which no message tells of.
func testUntilMarker(t *testing.T, s *site) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.seeds...), kgo.TransactionalID("until-"+s.topic), kgo.DefaultProduceTopic(s.topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for range 2 {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("in")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	b := s.worker("", connectors.Limits{})
	hour := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	if got := b.mustOpen(auto(), connectors.SubscribeOptions{Cursor: "earliest", Until: "@" + hour}).rest(); len(got) != 2 {
		t.Fatalf("got %v", got)
	}
}

// testUntilCompacted ends in front of a message that compaction took away, with all before it. The position gets there none the
// less: a message that is taken away has a later one of its key, and what is written last stays (Kafka never cleans the active
// segment), so that something beyond the end is read.
func testUntilCompacted(t *testing.T, s *site, compact func()) {
	const last = 5
	write := func(key, text string) { // each a batch
		t.Helper()
		r := &kgo.Record{Topic: s.topic, Key: []byte(key), Value: []byte(text)}
		if err := s.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write("another", "0") // which keeps the log's start where it is
	for i := range last {
		write("key", fmt.Sprint(i+1))
	}
	for s.second() <= last {
		write("key", "beyond")
		compact()
	}
	b := s.worker("", connectors.Limits{})
	until := func(offset int64) connectors.SubscribeOptions {
		return connectors.SubscribeOptions{Cursor: "earliest", Until: fmt.Sprintf("%s@0#%d", s.topic, offset)}
	}
	for _, who := range []*exchange.Exchange{auto(), leastOnce("looks-back")} {
		if got := b.mustOpen(who, until(last)).rest(); !slices.Equal(got, []string{"0"}) {
			t.Errorf("got %v", got)
		}
		from := connectors.SubscribeOptions{Cursor: s.topic + "@0#1", Until: until(last).Until}
		if got := b.mustOpen(who, from).rest(); got != nil {
			t.Errorf("from within: got %v", got)
		}
		hour := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		all := b.mustOpen(who, connectors.SubscribeOptions{Cursor: "earliest", Until: "@" + hour}).rest()
		if len(all) < 2 || all[len(all)-1] != "beyond" {
			t.Errorf("to the end: got %v", all)
		}
	}
}

// second is the offset of the first message of partition 0 but that at 0.
func (s *site) second() int64 {
	s.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.seeds...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {0: kgo.NewOffset().At(1)}}))
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			s.t.Fatal(err)
		}
		if all := fetches.Records(); len(all) > 0 {
			return all[0].Offset
		}
	}
}

func TestUntil_Compacted(t *testing.T) {
	c := compactedCluster(t)
	testUntilCompacted(t, newSite(t, c.ListenAddrs(), "orders", 1), c.Compact)
}

func compactedCluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	c := cluster(t, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	policy := "compact"
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &policy}, "orders"); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestUntil(t *testing.T)                       { testUntil(t, fakeSite(t, 3)) }
func TestUntil_TransactionMarkerLast(t *testing.T) { testUntilMarker(t, fakeSite(t, 1)) }
