//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/process"
)

// shared is one broker and one `sluice dev` for the tests that harm neither.
var shared struct {
	sync.Mutex
	kafka *brokers.Kafka
	dev   *process.Dev
	dir   string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dev != nil {
		if err := shared.dev.Stop(process.Within); err != nil {
			fmt.Fprintln(os.Stderr, "shared sluice dev:", err)
			code = 1
		}
	}
	if shared.kafka != nil {
		shared.kafka.Close()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	process.CleanUp()
	os.Exit(code)
}

func sharedKafka(t *testing.T) *brokers.Kafka {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.kafka == nil {
		kafka, err := brokers.NewKafka(context.Background(), sharedDir(t), brokers.KafkaConfig{})
		if err != nil {
			t.Fatal(err)
		}
		shared.kafka = kafka
	}
	return shared.kafka
}

func sharedDev(t *testing.T) *process.Dev {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.dev == nil {
		dev, err := process.StartDev(context.Background(), sharedDir(t), "--no-samples")
		if err != nil {
			t.Fatal(err)
		}
		shared.dev = dev
	}
	return shared.dev
}

// sharedDir is called with shared locked.
func sharedDir(t *testing.T) string {
	t.Helper()
	if shared.dir == "" {
		dir, err := os.MkdirTemp("", "sluice-e2e-")
		if err != nil {
			t.Fatal(err)
		}
		shared.dir = dir
	}
	return shared.dir
}

// startDev runs a `sluice dev` of the test's own, stopped at its end; what it logged is shown where the test failed.
func startDev(t *testing.T, flags ...string) *process.Dev {
	t.Helper()
	dev, err := process.StartDev(t.Context(), t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(process.Within); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("sluice dev:\n%s", dev.Tail())
		}
	})
	return dev
}

func deploy(t *testing.T, dev *process.Dev, definition []byte) string {
	t.Helper()
	id, err := dev.Deploy(t.Context(), definition)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// produce writes n records round the partitions of topic, each holding "<partition> <number in the partition>".
func produce(t *testing.T, kafka *brokers.Kafka, topic string, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Addr()), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	offsets, err := kafka.EndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	partitions := len(offsets)
	var failed atomic.Pointer[error]
	for i := range n {
		p := i % partitions
		client.Produce(t.Context(), &kgo.Record{Partition: int32(p), Value: fmt.Appendf(nil, "%d %d", p, i/partitions)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
}

// order checks that what produce wrote arrives once each and in the order of its partition.
type order struct {
	t    *testing.T
	next map[string]int
	n    int
}

func newOrder(t *testing.T) *order { return &order{t: t, next: map[string]int{}} }

func (o *order) add(value string) {
	o.t.Helper()
	partition, number, _ := strings.Cut(value, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n != o.next[partition] {
		o.t.Fatalf("message %d: partition %s gave %q, expected number %d", o.n, partition, value, o.next[partition])
	}
	o.next[partition]++
	o.n++
}

func (o *order) complete(want int) {
	o.t.Helper()
	if o.n != want {
		o.t.Errorf("%d messages arrived, want %d", o.n, want)
	}
}

func urlEscape(s string) string { return url.QueryEscape(s) }
