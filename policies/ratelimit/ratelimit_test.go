package ratelimit

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/rates"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// TestSlices: the examples of policies.md 2.7.
func TestSlices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ limit, slice, period int64 }{{10, 1, 100}, {1000, 100, 100}, {7, 1, 142}, {30, 3, 100}, {0, 0, 1000}} {
		slice, period := slices(c.limit, rates.Period{N: 1, Unit: rates.Seconds})
		if slice != c.slice || period.Length().Milliseconds() != c.period {
			t.Errorf("%d a second: %d per %s, want %d per %d ms", c.limit, slice, period.Length(), c.slice, c.period)
		}
	}
}

type broken struct{}

func (broken) Hit(context.Context, rates.Call) (rates.Count, error) {
	return rates.Count{}, errors.New("away")
}

func TestUncounted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, strategy, key string
		counters            rates.Counters
	}{
		{"passes", "FALLBACK_PASS_TROUGH", "", broken{}},
		{"is refused", "BLOCK_ON_INTERNAL_ERROR", "RATE_LIMIT_BLOCK_ON_INTERNAL_ERROR", broken{}},
		{"has nobody to count", "", "RATE_LIMIT_SERVER_ERROR", nil},
	} {
		made, problems := Type.Compile(json.RawMessage(`{"addHeaders":true,"errorStrategy":"`+c.strategy+`","rate":{"limit":5}}`),
			policies.Env{Log: slog.New(slog.DiscardHandler), Phase: policies.Request, Rates: c.counters})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{API: &exchange.API{ID: "a"}, HTTP: &fasthttp.RequestCtx{}}
		pc := policies.Shared(x.API, nil)
		pc.Exchange = x
		err := made.(policies.RequestPolicy).OnRequest(t.Context(), pc)
		var f *message.Failure
		if errors.As(err, &f); (err == nil) != (c.key == "") || f != nil && f.Key != c.key {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := string(x.HTTP.Response.Header.Peek("X-Rate-Limit-Reset")); c.counters != nil && got != "-1" {
			t.Errorf("%s: the window ends at %q", c.name, got)
		}
	}
}
