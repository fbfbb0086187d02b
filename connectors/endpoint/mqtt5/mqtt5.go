// Package mqtt5 is the MQTT 5 endpoint: it publishes messages to topics of a broker and serves topics to any number of
// subscribers. It keeps the levels none and auto.
//
// Publishing goes through one connection per endpoint, made at the first publish (publisher): QoS 0 under none, QoS 1
// under auto. Subscribing goes through one connection and one upstream subscription per endpoint and topic filter,
// however many subscribers there are (feed): it fills a ring, in which a subscriber is a place. MQTT has no log to read
// back from: who is overtaken by the ring's end loses the oldest messages, under auto too, and is told how many.
//
// Packets are those of paho.golang/packets. Its paho.Client is not used: it keeps a goroutine waiting per publish or says
// nothing of the outcome, keeps no order between publishes, and cannot tell whether a packet has left.
//
// Goroutines: all are started by Run, on request, and Run waits for them (Endpoint.spawn). Locks: feeds.mu before
// feed.mu; publisher.mu alone. None is held while a connection is used or a subscriber is woken.
package mqtt5

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Type is the catalog entry of the definition's type "mqtt5".
var Type = connectors.EndpointType{
	Name:  "MQTT 5",
	Modes: connectors.Subscribe | connectors.Publish,
	Check: Check,
	New: func(cfg, shared json.RawMessage, env connectors.Env) (connectors.Endpoint, error) {
		return New(cfg, shared, env)
	},
}

// Endpoint is a broker with a topic to read and a topic to write.
type Endpoint struct {
	set    settings
	addr   string
	log    *slog.Logger
	limits connectors.Limits
	name   string // the API's id, in metrics
	meter  metric.Meter
	stats  stats
	lost   rarely

	work    chan func(context.Context) // goroutines for Run to start
	ended   chan struct{}              // closed when Run takes no more work
	endOnce sync.Once

	out   publisher
	feeds feeds
}

// New validates and allocates. It fails on what Check refuses.
func New(cfg, shared json.RawMessage, env connectors.Env) (*Endpoint, error) {
	set, ps := read(cfg, shared)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	e := &Endpoint{
		set: set, addr: set.addr(env.Brokers), log: env.Log, limits: withDefaults(env.Limits),
		work: make(chan func(context.Context)), ended: make(chan struct{}),
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if env.API != nil {
		e.name = env.API.ID
	}
	if e.meter = env.Meter; e.meter == nil {
		e.meter = noop.Meter{}
	}
	e.out.init(e)
	e.feeds.init(e)
	return e, nil
}

// withDefaults fills what a caller left empty.
func withDefaults(l connectors.Limits) connectors.Limits {
	d := connectors.DefaultLimits
	if l.ProduceTimeout == 0 {
		l.ProduceTimeout = d.ProduceTimeout
	}
	if l.ProducerBuffer == 0 {
		l.ProducerBuffer = d.ProducerBuffer
	}
	if l.RingBytes == 0 {
		l.RingBytes = d.RingBytes
	}
	if l.Drain == 0 {
		l.Drain = d.Drain
	}
	return l
}

// Run starts what subscribers and publishers ask for and owns it until ctx ends. Then it ends the subscriptions, sends
// what was accepted for publishing within Limits.Drain, and closes every connection.
func (e *Endpoint) Run(ctx context.Context) error {
	if err := e.stats.register(e.meter, e); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	defer e.stats.unregister()
	var running sync.WaitGroup
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	for ctx.Err() == nil {
		select {
		case fn := <-e.work:
			running.Go(func() { fn(work) })
		case <-ctx.Done():
		}
	}
	e.endOnce.Do(func() { close(e.ended) })
	e.feeds.end()
	drain, cancel := context.WithTimeout(work, e.limits.Drain)
	defer cancel()
	e.out.drain(drain)
	stop()
	running.Wait()
	return nil
}

// spawn has Run start fn, which must return when its context ends. It waits until Run has begun, at most until ctx ends.
func (e *Endpoint) spawn(ctx context.Context, fn func(context.Context)) error {
	select {
	case <-e.ended:
		return errEnded
	default:
	}
	select {
	case e.work <- fn:
		return nil
	case <-e.ended:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Publish implements connectors.Publisher.
func (e *Endpoint) Publish(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	e.out.publish(ctx, x, m)
}

// Subscribe implements connectors.Source.
func (e *Endpoint) Subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	s, err := e.feeds.subscribe(ctx, x, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

var (
	_ connectors.Endpoint  = (*Endpoint)(nil)
	_ connectors.Publisher = (*Endpoint)(nil)
	_ connectors.Source    = (*Endpoint)(nil)
)
