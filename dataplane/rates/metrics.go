package rates

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/metric"
)

// register makes the instruments.
func (e *Exchange) register(meter metric.Meter) error {
	windows, err1 := meter.Int64ObservableGauge("sluice.rates.windows", metric.WithDescription("windows of rate limits that are kept"))
	workers, err2 := meter.Int64ObservableGauge("sluice.rates.peers", metric.WithDescription("other workers that rate limits are shared with"))
	refused, err3 := meter.Int64ObservableCounter("sluice.rates.refused", metric.WithDescription("messages of other workers' counts that were refused"))
	behind, err4 := meter.Float64ObservableGauge("sluice.rates.behind", metric.WithUnit("s"),
		metric.WithDescription("how late this worker heard of another's call that was to be told at once, at worst since this was last read: the time in the bound of rate limits"))
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return fmt.Errorf("rates: register metrics: %w", err)
		}
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(windows, int64(e.table.Len()))
		o.ObserveInt64(workers, int64(e.Peers()))
		o.ObserveInt64(refused, e.refused.Load())
		o.ObserveFloat64(behind, e.Behind().Seconds())
		return nil
	}, windows, workers, refused, behind)
	if err != nil {
		return fmt.Errorf("rates: register metrics: %w", err)
	}
	return nil
}
