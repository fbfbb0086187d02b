package websocket_test

import (
	"io"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sluice-gateway/sluice/connectors/entrypoint/websocket"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/test/fake"
)

// Messages that were saved as delivered and never written are lost only under at-most-once, and counted there.
func TestLost_IsCounted(t *testing.T) {
	t.Parallel()
	for level, want := range map[qos.Level]int64{qos.None: 0, qos.Auto: 0, qos.AtMostOnce: 10, qos.AtLeastOnce: 0} {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			reader := metric.NewManualReader()
			env := fake.Env()
			env.Loop = fake.Loop(t, 0)
			env.Meter = metric.NewMeterProvider(metric.WithReader(reader)).Meter("test")
			e, err := websocket.New(nil, env)
			if err != nil {
				t.Fatal(err)
			}
			sub, b := watch()
			sub.Push(numbered(1, 10, strings.Repeat("x", 100))...)
			client, done := websocket.ServePipe(t.Context(), e, &exchange.Exchange{API: &exchange.API{ID: "api"}, QoS: level}, b, sub)
			if _, err := io.ReadFull(client, make([]byte, 2)); err != nil { // the first byte of the first message
				t.Fatal(err)
			}
			_ = client.Close()
			fake.Within(t, "end", done)
			if got := counted(t, reader, "sluice_websocket_lost"); got != want {
				t.Errorf("%d lost, want %d", got, want)
			}
			if d := sub.Delivered(); d != -1 {
				t.Errorf("delivered through %d", d)
			}
		})
	}
}

// counted returns the sum of a counter.
func counted(t *testing.T, reader metric.Reader, name string) (n int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == name {
				for _, p := range sum.DataPoints {
					n += p.Value
				}
			}
		}
	}
	return n
}
