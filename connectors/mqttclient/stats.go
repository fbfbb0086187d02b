package mqttclient

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

func (s *stats) register(meter metric.Meter, e *Endpoint) (err error) {
	prefix := "sluice_mqtt5"
	if e.version == V311 {
		prefix = "sluice_mqtt"
	}
	s.registration, err = supervise.Register(meter, metric.WithAttributes(attribute.String("api", e.name)),
		supervise.Count(prefix+"_published_messages", "Messages that the broker acknowledged or, under none, was sent.", s.published.Load),
		supervise.Count(prefix+"_publish_failures", "Messages that were refused, given up or lost.", s.publishFailed.Load),
		supervise.Count(prefix+"_delivered_messages", "Messages handed to subscribers.", s.delivered.Load),
		supervise.Count(prefix+"_gaps", "Gap messages handed to subscribers.", s.gaps.Load),
		supervise.Count(prefix+"_connects", "Connections made to the broker.", s.connects.Load),
		supervise.Count(prefix+"_lost_sessions", "Sessions that the broker had forgotten when the connection was made again.", s.sessionsLost.Load),
		supervise.Count(prefix+"_abandoned_messages", "Messages acknowledged under at-most-once whose client left before it got them.", s.abandoned.Load),
		supervise.Count(prefix+"_foreign_messages", "Messages of a session's earlier subscriptions, which nobody asks for any more.", s.foreign.Load),
		supervise.Gauge(prefix+"_sessions", "Sessions in use, each one connection.", s.sessions.Load),
		supervise.Gauge(prefix+"_ring_bytes", "Bytes of recent messages held for subscribers.", s.ringBytes.Load),
		supervise.Gauge(prefix+"_readers", "Upstream subscriptions, each one connection.", s.readers.Load),
		supervise.Gauge(prefix+"_subscribers", "Open subscriptions.", s.subscribers.Load),
		supervise.Gauge(prefix+"_producer_buffer_bytes", "Bytes of messages not yet acknowledged.", s.buffered.Load),
	)
	return err
}

func (s *stats) unregister() { _ = s.registration.Unregister() } // fails only where the meter is gone too
