package mqttclient

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// stats counts. Hot paths add to an atomic; the meter reads it when it is asked.
type stats struct {
	published     atomic.Int64
	publishFailed atomic.Int64
	delivered     atomic.Int64
	gaps          atomic.Int64
	ringBytes     atomic.Int64
	readers       atomic.Int64
	subscribers   atomic.Int64
	buffered      atomic.Int64
	connects      atomic.Int64
	sessions      atomic.Int64
	sessionsLost  atomic.Int64
	abandoned     atomic.Int64
	foreign       atomic.Int64
	registration  metric.Registration
}

func (s *stats) register(meter metric.Meter, e *Endpoint) error {
	var instruments []metric.Observable
	var readings []func(metric.Observer)
	prefix := "sluice_mqtt5"
	if e.version == V311 {
		prefix = "sluice_mqtt"
	}
	labels := metric.WithAttributes(attribute.String("api", e.name))
	for _, r := range []struct {
		name, text string
		value      func() int64
		gauge      bool
	}{
		{prefix + "_published_messages", "Messages that the broker acknowledged or, under none, was sent.", s.published.Load, false},
		{prefix + "_publish_failures", "Messages that were refused, given up or lost.", s.publishFailed.Load, false},
		{prefix + "_delivered_messages", "Messages handed to subscribers.", s.delivered.Load, false},
		{prefix + "_gaps", "Gap messages handed to subscribers.", s.gaps.Load, false},
		{prefix + "_connects", "Connections made to the broker.", s.connects.Load, false},
		{prefix + "_lost_sessions", "Sessions that the broker had forgotten when the connection was made again.", s.sessionsLost.Load, false},
		{prefix + "_abandoned_messages", "Messages acknowledged under at-most-once whose client left before it got them.", s.abandoned.Load, false},
		{prefix + "_foreign_messages", "Messages of a session's earlier subscriptions, which nobody asks for any more.", s.foreign.Load, false},
		{prefix + "_sessions", "Sessions in use, each one connection.", s.sessions.Load, true},
		{prefix + "_ring_bytes", "Bytes of recent messages held for subscribers.", s.ringBytes.Load, true},
		{prefix + "_readers", "Upstream subscriptions, each one connection.", s.readers.Load, true},
		{prefix + "_subscribers", "Open subscriptions.", s.subscribers.Load, true},
		{prefix + "_producer_buffer_bytes", "Bytes of messages not yet acknowledged.", s.buffered.Load, true},
	} {
		var i metric.Int64Observable
		var err error
		if r.gauge {
			i, err = meter.Int64ObservableGauge(r.name, metric.WithDescription(r.text))
		} else {
			i, err = meter.Int64ObservableCounter(r.name, metric.WithDescription(r.text))
		}
		if err != nil {
			return err
		}
		instruments = append(instruments, i)
		readings = append(readings, func(o metric.Observer) { o.ObserveInt64(i, r.value(), labels) })
	}
	var err error
	s.registration, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, read := range readings {
			read(o)
		}
		return nil
	}, instruments...)
	return err
}

func (s *stats) unregister() { _ = s.registration.Unregister() } // fails only where the meter is gone too

// logEvery is how often the same may be logged.
const logEvery = 10 * time.Second

// rarely is a log that says the same thing at most once per logEvery, and how often it was silent.
type rarely struct {
	last    atomic.Int64 // Unix nanoseconds
	dropped atomic.Int64
}

func (r *rarely) warn(log *slog.Logger, text string, pairs ...any) {
	now, last := time.Now().UnixNano(), r.last.Load()
	if now-last < int64(logEvery) || !r.last.CompareAndSwap(last, now) {
		r.dropped.Add(1)
		return
	}
	log.Warn(text, append(pairs, "suppressed", r.dropped.Swap(0))...)
}
