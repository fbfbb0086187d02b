package meter_test

import (
	"math"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sluice-gateway/sluice/dataplane/meter"
)

// gathered returns a metric by name.
func gathered(t *testing.T, r *meter.Registry, name string) metricdata.Aggregation {
	t.Helper()
	scopes, err := r.Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range scopes[0].Metrics {
		if m.Name == name {
			return m.Data
		}
	}
	t.Fatalf("no metric %s", name)
	return nil
}

func TestRegistry_LatencyFallsIntoItsBucket(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, time.Microsecond, 64 * time.Microsecond, 65 * time.Microsecond, 128 * time.Microsecond,
		time.Millisecond, time.Second, 33 * time.Second, time.Hour} {
		r := meter.NewRegistry()
		r.For("a", "sse").Request(200, d)
		h := gathered(t, r, "sluice_dataplane_request_duration").(metricdata.Histogram[float64]).DataPoints[0]
		for i, n := range h.BucketCounts {
			lower, upper := -1.0, math.Inf(1)
			if i > 0 {
				lower = h.Bounds[i-1]
			}
			if i < len(h.Bounds) {
				upper = h.Bounds[i]
			}
			if in := d.Seconds() > lower && d.Seconds() <= upper; in != (n == 1) {
				t.Errorf("%v: %d in (%v, %v]", d, n, lower, upper)
			}
		}
		if h.Count != 1 || h.Sum != d.Seconds() {
			t.Errorf("%v: count %d, sum %v", d, h.Count, h.Sum)
		}
	}
}

func TestRegistry_SurvivesARedeployAndForgets(t *testing.T) {
	t.Parallel()
	r := meter.NewRegistry()
	r.For("a", "sse").Request(200, 0)
	r.For("a", "sse").Request(503, 0)
	points := func() int {
		return len(gathered(t, r, "sluice_dataplane_requests").(metricdata.Sum[int64]).DataPoints)
	}
	if n := points(); n != 2 {
		t.Errorf("%d points, want one per status class", n)
	}
	r.Forget("a")
	if n := points(); n != 0 {
		t.Errorf("%d points of an API that is gone", n)
	}
}

func TestCounters_AllocateNothing(t *testing.T) {
	c := meter.NewRegistry().For("a", "sse")
	if n := testing.AllocsPerRun(100, func() { c.Request(200, time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
