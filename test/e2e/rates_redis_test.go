//go:build e2e

package e2e

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/dataplane/rates"
	counters "github.com/sluice-gateway/sluice/policies/rates"
	"github.com/sluice-gateway/sluice/test/brokers"
)

// TestRates_RedisIsExact: three workers count in a real Redis, which lets exactly the limit through; a window ends, what is lazy stays
// with the workers, and without Redis there is an error.
func TestRates_RedisIsExact(t *testing.T) {
	server := brokers.StartRedis(t)
	const limit, each, workers = 500, 1000, 3
	var parts []*rates.Redis
	for _, name := range []string{"a", "b", "c"} {
		alone, err := rates.New(name, slog.New(slog.DiscardHandler), noop.Meter{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := rates.NewRedis(server.URL(), alone)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, r)
	}
	hourly := counters.Call{Key: counters.KeyOf([]byte("k")), Limit: limit, Period: counters.Period{N: 1, Unit: counters.Hours}}
	var accepted atomic.Int64
	var all sync.WaitGroup
	for _, r := range parts {
		for range 4 {
			all.Go(func() {
				for range each / 4 {
					n, err := r.Hit(t.Context(), hourly)
					if err != nil {
						t.Error(err)
					} else if n.Calls <= limit {
						accepted.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	if accepted.Load() != limit {
		t.Errorf("%d calls accepted of a limit of %d", accepted.Load(), limit)
	}
	if n, err := parts[0].Hit(t.Context(), hourly); err != nil || n.Calls != workers*each+1 || time.Until(n.Reset) < 50*time.Minute {
		t.Errorf("%+v, %v; want call %d of an hour", n, err, workers*each+1)
	}
	short := counters.Call{Key: counters.KeyOf([]byte("short")), Limit: 1, Period: counters.Period{N: 1, Unit: counters.Milliseconds}}
	for began := time.Now(); ; { // until a window has ended between two calls
		n, err := parts[1].Hit(t.Context(), short)
		if err != nil {
			t.Fatal(err)
		}
		if n.Calls == 1 && time.Since(began) > 5*time.Millisecond {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("call %d of a window of a millisecond", n.Calls)
		}
	}
	lazy := hourly
	lazy.Lazy = true
	if n, err := parts[2].Hit(t.Context(), lazy); err != nil || n.Calls != 1 {
		t.Errorf("lazy: %+v, %v; want the first call of this worker", n, err)
	}
	server.Kill()
	if n, err := parts[2].Hit(t.Context(), hourly); err == nil {
		t.Errorf("counted without Redis: %+v", n)
	}
}
