package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/bench/load"
)

// kafkaAdmin makes the topics of a run, and deletes them at its end: the broker may be somebody's own.
type kafkaAdmin struct {
	client *kgo.Client
	prefix string

	mu   sync.Mutex
	made []string // guarded by mu
}

func newKafkaAdmin(ctx context.Context, addrs []string, prefix string) (*kafkaAdmin, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		return nil, err
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("kafka at %v does not answer: %w", addrs, err)
	}
	return &kafkaAdmin{client: client, prefix: prefix}, nil
}

// topic makes a topic, and returns when the broker serves it: it says that it made one earlier.
func (k *kafkaAdmin) topic(ctx context.Context, name string) (string, error) {
	name = k.prefix + name
	admin := kadm.NewClient(k.client)
	res, err := admin.CreateTopic(ctx, partitions, 1, nil, name)
	if err := errors.Join(err, res.Err); err != nil {
		return "", fmt.Errorf("create topic %s: %w", name, err)
	}
	k.mu.Lock()
	k.made = append(k.made, name)
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, servedWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ends, err := admin.ListEndOffsets(ctx, name)
		if err = errors.Join(err, ends.Error()); err == nil {
			return name, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("topic %s is not served: %w", name, err)
		}
	}
}

// servedWithin bounds the time until a broker serves a topic that it made.
const servedWithin = 30 * time.Second

func (k *kafkaAdmin) close() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if len(k.made) > 0 {
		_, _ = kadm.NewClient(k.client).DeleteTopics(ctx, k.made...) // what is left says by its name where it is from
	}
}

// fill makes a topic with so many messages.
func (r *runner) fill(ctx context.Context, name string) (string, error) {
	topic, err := r.kafka.topic(ctx, name)
	if err != nil {
		return "", err
	}
	job := load.Job{Brokers: r.o.Kafka, Topic: topic, Size: r.o.Size, Total: r.o.Messages}
	return topic, r.producing(job)(ctx)
}

// warmBroker keeps the broker busy until its compiler has seen what will be asked of it: a cold one measures half.
func (r *runner) warmBroker(ctx context.Context) error {
	r.tell("warming the broker up")
	topic, err := r.kafka.topic(ctx, "warm")
	if err != nil {
		return err
	}
	_, err = r.measure(ctx, load.Job{Do: load.Produce, Brokers: r.o.Kafka, Topic: topic, Size: r.o.Size, Clients: r.o.Clients, For: r.o.WarmUp}, nil, nil)
	return err
}
