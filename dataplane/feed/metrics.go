package feed

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics are the instruments, made once.
type metrics struct {
	refusals metric.Int64Counter
	syncs    metric.Int64Counter
	bytes    metric.Int64Counter
	lost     metric.Int64Counter
	changes  metric.Int64Counter
	subs     metric.Int64Counter
	apply    metric.Float64Histogram
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var (
		out  metrics
		errs []error
	)
	counter := func(dst *metric.Int64Counter, name, unit, description string) {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		*dst = c
		errs = append(errs, err)
	}
	counter(&out.refusals, "sluice_feed_refused", "{message}", "Messages refused, by reason.")
	counter(&out.syncs, "sluice_feed_syncs", "{sync}", "Questions put to the control plane, by outcome.")
	counter(&out.bytes, "sluice_feed_body_bytes", "By", "Bytes of answers, before decompression.")
	counter(&out.lost, "sluice_feed_disconnects", "{disconnect}", "Connections to NATS lost.")
	counter(&out.changes, "sluice_feed_changes", "{api}", "APIs changed or removed.")
	counter(&out.subs, "sluice_feed_subscription_changes", "{subscription}", "Subscriptions changed or removed.")
	var err error
	out.apply, err = m.Float64Histogram("sluice_feed_apply", metric.WithUnit("s"),
		metric.WithDescription("Time that the worker took to apply an update."),
		metric.WithExplicitBucketBoundaries(.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	return &out, errors.Join(append(errs, err)...)
}

func (m *metrics) refused(ctx context.Context, reason string) {
	m.refusals.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", reason)))
}

func (m *metrics) synced(ctx context.Context, outcome string) {
	m.syncs.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
}

func (m *metrics) received(ctx context.Context, n int) { m.bytes.Add(ctx, int64(n)) }

func (m *metrics) applied(ctx context.Context, u *Update, took time.Duration) {
	m.changes.Add(ctx, int64(len(u.Changed)+len(u.Removed)))
	m.subs.Add(ctx, int64(len(u.Subscriptions)+len(u.RemovedSubscriptions)))
	m.apply.Record(ctx, took.Seconds())
}

func (m *metrics) disconnected(ctx context.Context) { m.lost.Add(ctx, 1) }
