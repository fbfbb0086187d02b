package push

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// metrics are the instruments, made once.
type metrics struct {
	messages metric.Int64Counter
	errors   metric.Int64Counter
	answers  metric.Int64Counter
	chunks   metric.Int64Counter
	refusals metric.Int64Counter
	statuses metric.Int64Counter
}

func newMetrics(m metric.Meter, p *Pusher) (*metrics, error) {
	var (
		out  metrics
		errs []error
	)
	counter := func(dst *metric.Int64Counter, name, unit, description string) {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		*dst = c
		errs = append(errs, err)
	}
	counter(&out.messages, "sluice_push_messages", "{message}", "Signed messages sent, by kind.")
	counter(&out.errors, "sluice_push_send_errors", "{message}", "Signed messages that could not be handed to NATS.")
	counter(&out.answers, "sluice_push_answers", "{answer}", "Answers to workers' asks, by kind.")
	counter(&out.chunks, "sluice_push_chunk_bytes", "By", "Bytes of chunks sent.")
	counter(&out.refusals, "sluice_push_refused", "{message}", "Asks refused as malformed or for another's inbox.")
	counter(&out.statuses, "sluice_push_statuses", "{message}", "Worker statuses, by whether they were accepted.")
	gauge := func(name, description string, read func() int64) {
		_, err := m.Int64ObservableGauge(name, metric.WithDescription(description),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(read())
				return nil
			}))
		errs = append(errs, err)
	}
	gauge("sluice_push_workers", "Live workers.", func() int64 { return int64(len(p.tracker.view(time.Now()).live)) })
	gauge("sluice_push_revision", "Revision that the index has reached.", func() int64 {
		at, _ := p.index.position()
		return int64(at.Revision) //nolint:gosec // a raft index does not reach 2^63
	})
	return &out, errors.Join(errs...)
}

var kindNames = map[wire.Kind]string{
	wire.KindPush: "push", wire.KindHeartbeat: "heartbeat", wire.KindAnswer: "answer", wire.KindChunk: "chunk",
}

func (m *metrics) published(ctx context.Context, kind wire.Kind, err error) {
	if err != nil {
		m.errors.Add(ctx, 1, with("kind", kindNames[kind]))
		return
	}
	m.messages.Add(ctx, 1, with("kind", kindNames[kind]))
}

func (m *metrics) answered(ctx context.Context, kind wire.AnswerKind) {
	m.answers.Add(ctx, 1, with("kind", kind.String()))
}
func (m *metrics) sent(ctx context.Context, n int) { m.chunks.Add(ctx, int64(n)) }
func (m *metrics) refused(ctx context.Context, what string) {
	m.refusals.Add(ctx, 1, with("kind", what))
}

func (m *metrics) status(ctx context.Context, err error) {
	result := "accepted"
	if err != nil {
		result = "refused"
	}
	m.statuses.Add(ctx, 1, with("result", result))
}

func with(key, value string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String(key, value))
}
