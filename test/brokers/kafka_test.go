//go:build e2e

package brokers_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/leak"
)

var kafka brokers.SharedKafka

func TestMain(m *testing.M) { brokers.Main(m, kafka.Close, leak.Check) }

func TestKafka_KeepsItsDataOverAKill(t *testing.T) {
	began := time.Now()
	k := kafka.Get(t)
	t.Logf("started in %s", time.Since(began).Round(time.Millisecond))
	topic := k.Topic(t, 3)
	produce(t, k, topic, 1000)
	wantRecords(t, k, topic, 1000)

	k.Kill()
	began = time.Now()
	if err := k.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("serves %s after a kill", time.Since(began).Round(time.Millisecond))
	wantRecords(t, k, topic, 1000)
	produce(t, k, topic, 1)
	wantRecords(t, k, topic, 1001)

	began = time.Now()
	if err := k.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped in %s", time.Since(began).Round(time.Millisecond))
	k = kafka.Get(t)
	wantRecords(t, k, topic, 1001)
}

func TestKafka_OtherClientsReadBack(t *testing.T) {
	k := kafka.Get(t)
	topic := k.Topic(t, 1)
	produce(t, k, topic, 1000)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, brokers.Tool(t, "kcat"), "-C", "-b", k.Addr(), "-t", topic, "-e", "-q").Output()
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, "kcat", string(out))
	text, err := k.ConsoleConsumer(ctx, "--topic", topic, "--from-beginning", "--max-messages", "1000")
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, "console consumer", text)
}

func wantLines(t *testing.T, client, out string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 1000 {
		t.Fatalf("%s read %d records, want 1000", client, len(lines))
	}
	for i, line := range lines {
		if want := fmt.Sprintf("value-%d", i); line != want {
			t.Fatalf("%s read %q as record %d, want %q", client, line, i, want)
		}
	}
}

func TestKafka_ConfigIsServed(t *testing.T) {
	k := brokers.StartKafka(t, brokers.KafkaConfig{NoAutoCreate: true, Proxied: true})
	topic := k.Topic(t, 2)
	produce(t, k, topic, 100)
	if up, _ := k.Proxy().Transferred(); up == 0 {
		t.Error("the client went past the proxy")
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(1), kgo.DefaultProduceTopic("not-there"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = client.ProduceSync(t.Context(), kgo.StringRecord("lost")).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("produce to a topic that is not there: %v", err)
	}

	k.Proxy().Cut()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := client.Ping(ctx); err == nil {
		t.Error("the broker answers though its link is cut")
	}
	if err := k.Proxy().Restore(); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, k, topic, 100)
}

func TestKafka_ThreeNodesOutliveOne(t *testing.T) {
	began := time.Now()
	k := brokers.StartKafka(t, brokers.KafkaConfig{Nodes: 3})
	t.Logf("three nodes started in %s", time.Since(began).Round(time.Millisecond))
	topic := k.Topic(t, 3)
	produce(t, k, topic, 300)
	k.Nodes()[0].Kill()
	produce(t, k, topic, 300)
	wantRecords(t, k, topic, 600)
	began = time.Now()
	if err := k.Nodes()[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("in sync %s after a kill", time.Since(began).Round(time.Millisecond))
	wantRecords(t, k, topic, 600)
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
