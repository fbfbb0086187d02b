// Package kafka is the Kafka endpoint: it publishes messages to topics and serves topics to any number of subscribers.
//
// Publishing goes through one idempotent producer per endpoint (producer). Subscribing goes through one reader per
// endpoint and topic set, however many subscribers there are (feed): it fills a chain of immutable batches at the live
// end; a subscriber is a place in that chain, and one that is behind it gets a catch-up reader of its own for a time.
// What a configuration may say is in config.go; which levels are kept is the matrix in qos.
//
// At-most-once and at-least-once keep their state in the consumer group that is named like the client (counted): a stream is
// a member of it, so that several connections of one client share the partitions, on whatever workers, and a worker that was
// replaced can save nothing more. A client that has no name of its own has no group; there the cursor is the state, and both
// levels behave like auto: nothing is skipped.
//
//   - At-least-once (proofs): saved is what is proved. The window of what is not is bounded; Poll waits.
//   - At-most-once (reservations): handed out is what is saved, in chunks whose size follows the client. When a worker dies,
//     what it had reserved and not handed out is lost; one that ends in order gives it back.
//   - Subscribers with an Instance (webhooks over several workers) are members of the group under none and auto too, so that each
//     message goes to one of them: under none by reservations, from the live end on, under auto by proofs of delivery.
//   - A page (http-get) does not join the group and saves as an outsider: see page.go for what that costs.
//
// What is read may be a pattern instead of topics: see topics.go. Attributes say per exchange, some per message, what of the
// configuration is otherwise (attributes.go): topics, the pattern, the start rule, the form of ids, the group, keys and the compression;
// what is read in the same way shares a reader. How to connect is the same for all, since connections are shared.
//
// Goroutines: all are started by Run, on request, and Run waits for them (Endpoint.spawn). The clients of franz-go have
// their own, ended by Close, which Run or a goroutine of Run calls. Locks: counted.saving before counted.mu before
// subscription.mu before reader.mu and notifier.mu; feed.mu before reader.mu and notifier.mu. Only counted.saving is held while a client is called.
package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Type is the catalog entry of the definition's type "kafka".
var Type = connectors.EndpointType{
	Name:  "Kafka",
	Modes: connectors.Subscribe | connectors.Publish,
	Check: Check,
	New: func(cfg, shared json.RawMessage, env connectors.Env) (connectors.Endpoint, error) {
		return New(cfg, shared, env)
	},
}

// Advanced is the catalog entry of "kafka-advanced", an accepted name of the same endpoint.
var Advanced = func() connectors.EndpointType {
	t := Type
	t.Name = "Kafka (advanced)"
	return t
}()

// Endpoint is a Kafka cluster with topics to read and topics to write.
type Endpoint struct {
	set    settings
	seeds  []string
	log    *slog.Logger
	limits connectors.Limits
	name   string // the API's id, in client ids
	meter  metric.Meter
	stats  stats
	origin *origin
	lost   supervise.LogLimit

	tasks *supervise.Tasks

	gate     gate
	producer producer
	others   producers
	feeds    feeds
}

// New validates and allocates. It fails on what Check refuses and on bootstrap addresses that are no host:port.
func New(cfg, shared json.RawMessage, env connectors.Env) (*Endpoint, error) {
	set, ps := read(cfg, shared)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	seeds, err := set.seeds(env.Brokers)
	if err != nil {
		return nil, &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid,
			Message: textInvalid, Err: err}
	}
	e := &Endpoint{
		set: set, seeds: seeds, log: env.Log, limits: env.Limits.WithDefaults(),
		origin: &origin{},
		tasks:  supervise.NewTasks(),
	}
	if env.Log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if env.API != nil {
		e.name = env.API.ID
	}
	if e.meter = env.Meter; e.meter == nil {
		e.meter = noop.Meter{}
	}
	e.gate.limit = int64(e.limits.ProducerBuffer)
	e.producer.init(e, set.codec)
	e.feeds.init(e)
	return e, nil
}

// Run starts what subscribers and publishers ask for and owns it until ctx ends. Then it ends the subscriptions, flushes
// what was accepted for publishing within Limits.Drain, and closes every client.
func (e *Endpoint) Run(ctx context.Context) error {
	if err := e.stats.register(e.meter, e); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	defer e.stats.unregister()
	e.tasks.Run(ctx, func(work context.Context) {
		e.feeds.end()
		drain, cancel := context.WithTimeout(work, e.limits.Drain)
		defer cancel()
		e.feeds.save(drain)
		e.closeProducers(drain)
	})
	e.feeds.close()
	return nil
}

// Publish implements connectors.Publisher.
func (e *Endpoint) Publish(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	p, fail := e.producerFor(x, m)
	if fail != nil {
		m.Done(fail)
		return
	}
	p.publish(ctx, x, m)
}

// Subscribe implements connectors.Source.
func (e *Endpoint) Subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	return e.feeds.subscribe(ctx, x, o)
}

var (
	_ connectors.Endpoint  = (*Endpoint)(nil)
	_ connectors.Publisher = (*Endpoint)(nil)
	_ connectors.Source    = (*Endpoint)(nil)
)
