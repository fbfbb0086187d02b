package grid

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/test/brokers"
)

// kafkaBroker is the endpoint type of a real Apache Kafka.
type kafkaBroker struct {
	kafka    *brokers.Kafka
	endpoint string // the type's name in definitions
}

func (b *kafkaBroker) open(ctx context.Context, name string, partitions, _ int) (topic, error) {
	if err := b.kafka.CreateTopic(ctx, name, partitions); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.Addr()), kgo.DefaultProduceTopic(name), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	return &kafkaTopic{broker: b, name: name, client: client}, nil
}

func (b *kafkaBroker) server() any { return b.kafka }

func (b *kafkaBroker) restart(ctx context.Context) error {
	b.kafka.Kill()
	return b.kafka.Restart(ctx)
}

// kafkaTopic is one topic. Partitions are named by their numbers.
type kafkaTopic struct {
	broker *kafkaBroker
	name   string
	client *kgo.Client

	mu     sync.Mutex // guards the following
	failed error
}

func (t *kafkaTopic) group() object {
	return object{
		"name": "group", "type": t.broker.endpoint,
		"sharedConfiguration": object{
			"consumer": object{"enabled": true, "topics": []string{t.name}, "autoOffsetReset": "earliest"},
			"producer": object{"enabled": true, "topics": []string{t.name}},
		},
		"endpoints": []object{{"name": "endpoint", "type": t.broker.endpoint, "inheritConfiguration": true,
			"configuration": object{"bootstrapServers": t.broker.kafka.Addr()}}},
	}
}

// write relies on franz-go, which writes again, in order and once, for as long as the broker is away.
func (t *kafkaTopic) write(ctx context.Context, r *recorder, partition int, m identity, body []byte) error {
	r.produced(m)
	t.client.Produce(ctx, &kgo.Record{Partition: int32(partition), Key: []byte(m.key), Value: body}, func(rec *kgo.Record, err error) {
		if err == nil {
			r.isStored(m, strconv.Itoa(int(rec.Partition)), rec.Offset)
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.failed == nil {
			t.failed = fmt.Errorf("write to topic %s, partition %d: %w", t.name, partition, err)
		}
	})
	return ctx.Err()
}

func (t *kafkaTopic) flush(ctx context.Context) error {
	err := t.client.Flush(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(err, t.failed)
}

func (*kafkaTopic) keeps() bool { return true }

func (t *kafkaTopic) witness(ctx context.Context, r *recorder) error {
	ends, err := t.broker.kafka.EndOffsets(ctx, t.name)
	if err != nil {
		return err
	}
	from, left := map[int32]kgo.Offset{}, 0
	for p, end := range ends {
		if end > 0 {
			from[int32(p)] = kgo.NewOffset().AtStart()
			left++
		}
	}
	if left == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(t.broker.kafka.Addr()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.name: from}))
	if err != nil {
		return fmt.Errorf("make kafka client: %w", err)
	}
	defer client.Close()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read topic %s: %w", t.name, err)
		}
		for _, rec := range fetches.Records() {
			m, err := parse(string(rec.Value))
			if err != nil {
				return fmt.Errorf("topic %s, partition %d, offset %d: %w", t.name, rec.Partition, rec.Offset, err)
			}
			p := strconv.Itoa(int(rec.Partition))
			r.witnessed(m, p, rec.Offset)
			if rec.Offset == ends[rec.Partition]-1 {
				left--
			}
		}
	}
	return nil
}

func (t *kafkaTopic) cursor(id string) judge.Cursor {
	at, err := cursor.Parse(id)
	if err != nil || at.Kind != cursor.At {
		return nil
	}
	out := judge.Cursor{judge.Everywhere: 0} // partitions that a cursor does not name begin at their beginning
	for _, p := range at.At {
		out[strconv.Itoa(int(p.Partition))] = p.Offset + 1
	}
	return out
}

func (t *kafkaTopic) identify(text, _ string, _ int64) (identity, error) { return parse(text) }

// watchEvery is how often the groups' offsets are read.
const watchEvery = 200 * time.Millisecond

// watch reads the offsets of every group of the topic: the topic is the run's own, and so are they. A broker that is away
// is asked again.
func (t *kafkaTopic) watch(ctx context.Context, saved func(judge.Cursor)) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.broker.kafka.Addr()))
	if err != nil {
		return fmt.Errorf("make kafka client: %w", err)
	}
	defer client.Close()
	admin, others := kadm.NewClient(client), map[string]bool{}
	for ctx.Err() == nil {
		groups, err := admin.ListGroups(ctx)
		if err != nil {
			pause(ctx, watchEvery)
			continue
		}
		for name := range groups {
			if others[name] {
				continue
			}
			offsets, err := admin.FetchOffsets(ctx, name)
			if err != nil {
				continue
			}
			at := judge.Cursor{}
			offsets.Each(func(o kadm.OffsetResponse) {
				if o.Topic == t.name && o.At >= 0 {
					at[strconv.Itoa(int(o.Partition))] = o.At
				}
			})
			if len(at) > 0 {
				saved(at)
			} else {
				others[name] = len(offsets) > 0
			}
		}
		pause(ctx, watchEvery)
	}
	return nil
}

// isShared tells whether a group of so many members has settled on who reads the topic. Before that one of them may have
// everything, and what it has read is on its way when another takes over.
func (t *kafkaTopic) isShared(ctx context.Context, among int) bool {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.broker.kafka.Addr()))
	if err != nil {
		return false
	}
	defer client.Close()
	groups, err := kadm.NewClient(client).DescribeGroups(ctx)
	if err != nil {
		return false
	}
	for _, g := range groups {
		if g.State != "Stable" || len(g.Members) != among {
			continue
		}
		for _, m := range g.Members {
			if a, ok := m.Assigned.AsConsumer(); ok && len(a.Topics) > 0 && a.Topics[0].Topic == t.name {
				return true
			}
		}
	}
	return false
}

func (t *kafkaTopic) fixed() int { return 0 }

func (t *kafkaTopic) close() { t.client.Close() }
