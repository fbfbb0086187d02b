package kafka

import (
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-gateway/sluice/connectors/supervise"
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

func (s *stats) register(meter metric.Meter, e *Endpoint) (err error) {
	s.registration, err = supervise.Register(meter, metric.WithAttributes(attribute.String("api", e.name)),
		supervise.Count("sluice_kafka_published_messages", "Records that the broker acknowledged.", s.published.Load),
		supervise.Count("sluice_kafka_publish_failures", "Records that were refused, given up or lost.", s.publishFailed.Load),
		supervise.Count("sluice_kafka_delivered_messages", "Messages handed to subscribers.", s.delivered.Load),
		supervise.Count("sluice_kafka_gaps", "Gap messages handed to subscribers.", s.gaps.Load),
		supervise.Gauge("sluice_kafka_ring_bytes", "Bytes of recent messages held for subscribers.", s.ringBytes.Load),
		supervise.Gauge("sluice_kafka_readers", "Shared readers running, each one fetch session.", s.readers.Load),
		supervise.Gauge("sluice_kafka_catch_up_readers", "Catch-up readers running.", s.leases.Load),
		supervise.Count("sluice_kafka_catch_ups", "Catch-up readers started, each one a client.", s.leased.Load),
		supervise.Gauge("sluice_kafka_subscribers", "Open subscriptions.", s.subscribers.Load),
		supervise.Gauge("sluice_kafka_topics_left_out", "Topics that match a topic pattern and are not read, since it matches too many.", s.leftOut.Load),
		supervise.Gauge("sluice_kafka_producer_buffer_bytes", "Bytes of records not yet acknowledged.", e.gate.used.Load),
	)
	return err
}

func (s *stats) unregister() { _ = s.registration.Unregister() } // fails only where the meter is gone too
