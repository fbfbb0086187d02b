package embedded

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKafka_OutlivesAKill leaves the broker as a kill does, without Close: what it acknowledged is there when it comes back,
// also in a topic that was made by using it.
func TestKafka_OutlivesAKill(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	first, err := NewKafka(dir)
	if err != nil {
		t.Fatal(err)
	}
	const n = 50
	producer := client(t, first, kgo.DefaultProduceTopic("orders"), kgo.AllowAutoTopicCreation())
	for i := range n {
		if err := producer.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := NewKafka(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the first last: its shutdown writes into the directory
		for _, k := range []*Kafka{again, first} {
			done, stop := context.WithCancel(context.Background())
			stop()
			if err := k.Run(done); err != nil {
				t.Error(err)
			}
		}
	})
	consumer := client(t, again, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for got := 0; got < n; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d: %v", got, n, err)
		}
		got += fetches.NumRecords()
	}
}

func client(t *testing.T, k *Kafka, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(k.Addr()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}
