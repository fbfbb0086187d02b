package kafka

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
	readers       atomic.Int64 // shared readers that are running
	leases        atomic.Int64 // catch-up readers that are running
	leased        atomic.Int64 // catch-up readers that have read anything
	subscribers   atomic.Int64
	leftOut       atomic.Int64 // topics that match a pattern and are not read, since there are too many
	registration  metric.Registration
}

func (s *stats) register(meter metric.Meter, e *Endpoint) error {
	type reading struct {
		name, text string
		value      func() int64
		gauge      bool
	}
	var instruments []metric.Observable
	var readings []func(metric.Observer)
	labels := metric.WithAttributes(attribute.String("api", e.name))
	for _, r := range []reading{
		{"sluice_kafka_published_messages", "Records that the broker acknowledged.", s.published.Load, false},
		{"sluice_kafka_publish_failures", "Records that were refused, given up or lost.", s.publishFailed.Load, false},
		{"sluice_kafka_delivered_messages", "Messages handed to subscribers.", s.delivered.Load, false},
		{"sluice_kafka_gaps", "Gap messages handed to subscribers.", s.gaps.Load, false},
		{"sluice_kafka_ring_bytes", "Bytes of recent messages held for subscribers.", s.ringBytes.Load, true},
		{"sluice_kafka_readers", "Shared readers running, each one fetch session.", s.readers.Load, true},
		{"sluice_kafka_catch_up_readers", "Catch-up readers running.", s.leases.Load, true},
		{"sluice_kafka_catch_ups", "Catch-up readers started, each one a client.", s.leased.Load, false},
		{"sluice_kafka_subscribers", "Open subscriptions.", s.subscribers.Load, true},
		{"sluice_kafka_topics_left_out", "Topics that match a topic pattern and are not read, since it matches too many.", s.leftOut.Load, true},
		{"sluice_kafka_producer_buffer_bytes", "Bytes of records not yet acknowledged.", e.gate.used.Load, true},
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
		value := r.value
		instruments = append(instruments, i)
		readings = append(readings, func(o metric.Observer) { o.ObserveInt64(i, value(), labels) })
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
