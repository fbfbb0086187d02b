package supervise

import (
	"context"

	"go.opentelemetry.io/otel/metric"
)

// Counter is a number that a hot path keeps in an atomic and a meter reads when it is asked.
type Counter struct {
	name, text string
	value      func() int64
	gauge      bool
}

// Count is a counter that only grows.
func Count(name, text string, value func() int64) Counter { return Counter{name, text, value, false} }

// Gauge is one that may fall.
func Gauge(name, text string, value func() int64) Counter { return Counter{name, text, value, true} }

// Register has meter read the counters until the registration is given up, each with labels.
func Register(meter metric.Meter, labels metric.MeasurementOption, counters ...Counter) (metric.Registration, error) {
	var instruments []metric.Observable
	var readings []func(metric.Observer)
	for _, c := range counters {
		var i metric.Int64Observable
		var err error
		if c.gauge {
			i, err = meter.Int64ObservableGauge(c.name, metric.WithDescription(c.text))
		} else {
			i, err = meter.Int64ObservableCounter(c.name, metric.WithDescription(c.text))
		}
		if err != nil {
			return nil, err
		}
		instruments = append(instruments, i)
		readings = append(readings, func(o metric.Observer) { o.ObserveInt64(i, c.value(), labels) })
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, read := range readings {
			read(o)
		}
		return nil
	}, instruments...)
}
