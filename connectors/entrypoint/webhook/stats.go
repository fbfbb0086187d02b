package webhook

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/connectors"
)

// stats are an API's webhooks in numbers. Labels are the API and one of a few words; never a subscription.
type stats struct {
	attempts metric.Int64Counter
	latency  metric.Float64Histogram
	lost     metric.Int64Counter
	flying   metric.Int64UpDownCounter
	parked   metric.Int64UpDownCounter
	open     metric.Int64UpDownCounter

	api      []metric.AddOption
	record   []metric.RecordOption
	outcomes [connectors.GivenUp + 1][]metric.AddOption
	reasons  map[string][]metric.AddOption
}

// Reasons of lost messages. Only levels that allow it lose any.
const (
	lostFailed  = "failed"  // none, at-most-once: the one attempt failed; auto: passed over
	lostStopped = "stopped" // none, at-most-once: the delivery ended before they were sent
	lostGap     = "gap"     // lost before they came here
)

// buckets of the latency, in seconds.
var buckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

func newStats(env connectors.Env) (*stats, error) {
	meter := env.Meter
	if meter == nil {
		meter = noop.Meter{}
	}
	s := &stats{reasons: map[string][]metric.AddOption{}}
	var errs [6]error
	s.attempts, errs[0] = meter.Int64Counter("sluice_webhook_attempts", metric.WithDescription("Calls of receivers, by what came of them."))
	s.latency, errs[1] = meter.Float64Histogram("sluice_webhook_latency_seconds", metric.WithDescription("Time from a call's begin to its answer."),
		metric.WithExplicitBucketBoundaries(buckets...))
	s.lost, errs[2] = meter.Int64Counter("sluice_webhook_lost_messages", metric.WithDescription("Messages that no receiver got, as their level allows."))
	s.flying, errs[3] = meter.Int64UpDownCounter("sluice_webhook_calls", metric.WithDescription("Calls under way."))
	s.parked, errs[4] = meter.Int64UpDownCounter("sluice_webhook_parked_lanes", metric.WithDescription("Keys whose next message waits for another attempt."))
	s.open, errs[5] = meter.Int64UpDownCounter("sluice_webhook_open_circuits", metric.WithDescription("Subscriptions that rest because their receiver is down or asks for it."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	id := ""
	if env.API != nil {
		id = env.API.ID
	}
	api := attribute.String("api", id)
	s.api = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(api))}
	s.record = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(api))}
	for o := range s.outcomes {
		s.outcomes[o] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(api, attribute.String("outcome", connectors.Outcome(o).String())))}
	}
	for _, reason := range []string{lostFailed, lostStopped, lostGap} {
		s.reasons[reason] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(api, attribute.String("reason", reason)))}
	}
	return s, nil
}

func (s *stats) attempted(ctx context.Context, o connectors.Outcome, took time.Duration) {
	s.attempts.Add(ctx, 1, s.outcomes[o]...)
	s.latency.Record(ctx, took.Seconds(), s.record...)
}

func (s *stats) lose(ctx context.Context, reason string, n int) {
	s.lost.Add(ctx, int64(n), s.reasons[reason]...)
}
