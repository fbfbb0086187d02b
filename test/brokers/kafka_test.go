//go:build e2e

package brokers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/test/brokers"
)

func TestKafka_KeepsItsDataOverAKill(t *testing.T) {
	began := time.Now()
	k := brokers.StartKafka(t, brokers.KafkaConfig{})
	t.Logf("started in %s", time.Since(began).Round(time.Millisecond))

	topic := k.Topic(t, 3)
	produce(t, k, topic, 1000)
	wantRecords(t, k, topic, 1000)

	k.Kill()
	began = time.Now()
	if err := k.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("restarted in %s", time.Since(began).Round(time.Millisecond))
	wantRecords(t, k, topic, 1000)
	produce(t, k, topic, 1)
	wantRecords(t, k, topic, 1001)
}

func produce(t *testing.T, k *brokers.Kafka, topic string, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "key-%d", i%7), Value: fmt.Appendf(nil, "value-%d", i)}
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// wantRecords reads the topic from its start until it has n records.
func wantRecords(t *testing.T, k *brokers.Kafka, topic string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := 0
	for got < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d records: %v", got, n, err)
		}
		got += fetches.NumRecords()
	}
	if got != n {
		t.Fatalf("%d records, want %d", got, n)
	}
}
