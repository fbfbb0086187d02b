package policies

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/connectors"
	connectorcatalog "github.com/sluice-gateway/sluice/connectors/builtin"
	"github.com/sluice-gateway/sluice/dataplane"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/server"
	policycatalog "github.com/sluice-gateway/sluice/policies/builtin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, planetest.IgnoreFasthttp()...) }

// patience bounds every wait; only a failure uses it up.
const patience = 60 * time.Second

// world is the worker and the Kafka of all tables.
type world struct {
	worker   *dataplane.Worker
	gateway  string
	brokers  string
	kafka    *kgo.Client
	admin    *kadm.Client
	revision uint64
	settings flow.Config // what definitions are checked against
}

// newWorld starts it; it ends with t.
func newWorld(t *testing.T) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := &world{brokers: cluster.ListenAddrs()[0]}
	if w.kafka, err = kgo.NewClient(kgo.SeedBrokers(w.brokers), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.kafka.Close)
	w.admin = kadm.NewClient(w.kafka)
	w.start(t)
	return w
}

func (w *world) start(t *testing.T) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(logs(), nil))
	counters := meter.NewRegistry()
	w.settings = flow.Config{Entrypoints: connectorcatalog.Entrypoints, Endpoints: connectorcatalog.Endpoints, Policies: policycatalog.Policies, Resources: policycatalog.Resources,
		Limits: connectors.DefaultLimits, Log: log, Meter: noop.Meter{}, Counters: meter.NewRegistry()}
	gateway, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.gateway = "http://" + gateway.Addr().String()
	w.worker, err = dataplane.New(dataplane.Config{ID: "tables", Name: "sluice", Version: "v0", Server: server.DefaultConfig, Limits: connectors.DefaultLimits},
		dataplane.Deps{Entrypoints: connectorcatalog.Entrypoints, Endpoints: connectorcatalog.Endpoints, Policies: policycatalog.Policies,
			Resources: policycatalog.Resources, Gateway: []net.Listener{gateway}, Log: log, Meter: noop.NewMeterProvider(), Counters: counters})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.worker.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// logs is where the worker's log goes: nowhere, or with SLUICE_LOG=1 to standard error.
func logs() io.Writer {
	if os.Getenv("SLUICE_LOG") != "" {
		return os.Stderr
	}
	return io.Discard
}

// topics makes topics of one partition.
func (w *world) topics(t *testing.T, names []string) {
	t.Helper()
	made, err := w.admin.CreateTopics(t.Context(), 1, 1, nil, names...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// produce puts records into a topic.
func (w *world) produce(ctx context.Context, topic string, messages []Message) error {
	records := make([]*kgo.Record, len(messages))
	for i := range messages {
		m := &messages[i]
		content, err := m.bytes()
		if err != nil {
			return err
		}
		r := &kgo.Record{Topic: topic, Value: content}
		if m.Key != nil {
			r.Key = []byte(*m.Key)
		}
		for _, name := range sortedNames(m.Headers) {
			for _, v := range *m.Headers[name] {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(v)})
			}
		}
		records[i] = r
	}
	return w.kafka.ProduceSync(ctx, records...).FirstErr()
}

// stored returns all records of a topic.
func (w *world) stored(ctx context.Context, topic string) ([]*kgo.Record, error) {
	ends, err := w.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	end, _ := ends.Lookup(topic, 0)
	if end.Offset == 0 {
		return nil, nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(w.brokers),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var out []*kgo.Record
	for int64(len(out)) < end.Offset {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		out = append(out, fetches.Records()...)
	}
	return out, nil
}
