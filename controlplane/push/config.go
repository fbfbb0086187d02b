package push

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// Defaults and bounds.
const (
	// DefaultHeartbeat is the time between heartbeats: a lost push is noticed within it.
	DefaultHeartbeat = time.Second
	// DefaultTransfers is how many bodies of several chunks a node sends at once. With the workers' window of chunks
	// it bounds what waits in NATS to 32 x 4 x 256 KiB = 32 MiB.
	DefaultTransfers = 32
	// DefaultBodyReuse is how old a shared snapshot may be; who gets it asks for the rest, which is small.
	DefaultBodyReuse = time.Second

	minHeartbeat  = 10 * time.Millisecond
	maxHeartbeat  = time.Minute
	answerers     = 4                // goroutines that answer; more than the cores of a small machine gains nothing
	queueMessages = 4_096            // asks, chunk asks, statuses and answers that wait; NATS drops what comes above
	liveBeats     = 3                // a worker is live this many of its periods after its last status
	forgetAfter   = 10 * time.Minute // a worker that is not live is listed this long
	maxWorkers    = 10_000           // workers that are listed
	askQueue      = "sluice-push"    // the queue group of the nodes that answer asks
)

// Config is what a Pusher needs.
type Config struct {
	Cluster string             // the cluster's id, bound into every signature
	Node    string             // this node's name
	Key     ed25519.PrivateKey // signs; the same on every node of the cluster

	Heartbeat time.Duration // default DefaultHeartbeat; +-10 % jitter
	Settle    time.Duration // how long after start statuses are collected before Await believes to know every worker; default Heartbeat
	Transfers int           // default DefaultTransfers
	BodyReuse time.Duration // default DefaultBodyReuse

	Log   *slog.Logger
	Meter metric.Meter
}

func (c *Config) complete() error {
	var errs []error
	if c.Cluster == "" {
		errs = append(errs, errors.New("push: no cluster id"))
	}
	if err := wire.CheckName(c.Node); err != nil {
		errs = append(errs, fmt.Errorf("push: node: %w", err))
	}
	if c.Log == nil || c.Meter == nil {
		errs = append(errs, errors.New("push: no logger or no meter"))
	}
	c.Heartbeat = orDefault(c.Heartbeat, DefaultHeartbeat)
	c.Settle = orDefault(c.Settle, c.Heartbeat)
	c.Transfers = orDefault(c.Transfers, DefaultTransfers)
	c.BodyReuse = orDefault(c.BodyReuse, DefaultBodyReuse)
	if c.Heartbeat < minHeartbeat || c.Heartbeat > maxHeartbeat {
		errs = append(errs, fmt.Errorf("push: heartbeat %s is not within %s and %s", c.Heartbeat, minHeartbeat, maxHeartbeat))
	}
	return errors.Join(errs...)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Pusher is one control-plane node's side of the push. Its methods but Run may be called from any goroutine.
type Pusher struct {
	cfg     Config
	log     *slog.Logger
	nc      *nats.Conn
	src     Source
	signer  *wire.Signer
	codec   *wire.Codec
	index   *index
	bodies  *bodies
	slots   *slots
	tracker *tracker
	metrics *metrics

	requests *requests
}

// New returns a pusher that speaks over nc, which the caller closes after Run has returned.
func New(cfg Config, nc *nats.Conn, src Source) (*Pusher, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	signer, err := wire.NewSigner(cfg.Cluster, cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("push: signing key: %w", err)
	}
	codec, err := wire.NewCodec()
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	p := &Pusher{
		cfg: cfg, log: cfg.Log, nc: nc, src: src, signer: signer, codec: codec,
		index: newIndex(), bodies: newBodies(), slots: newSlots(cfg.Transfers), tracker: newTracker(cfg.Settle),
		requests: newRequests(),
	}
	if p.metrics, err = newMetrics(cfg.Meter, p); err != nil {
		return nil, fmt.Errorf("push: register metrics: %w", err)
	}
	return p, nil
}

// Run publishes, answers and listens until ctx ends.
func (p *Pusher) Run(ctx context.Context) error {
	p.index.advance(p.src) // before the first ask is taken
	asks := make(chan *nats.Msg, queueMessages)
	chunks := make(chan *nats.Msg, queueMessages)
	statuses := make(chan *nats.Msg, queueMessages)
	replies := make(chan *nats.Msg, queueMessages)
	subs, err := p.subscribe(asks, chunks, statuses, replies)
	defer func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // the connection may be closed already
		}
	}()
	if err != nil {
		return err
	}
	p.tracker.start(time.Now())
	var wg sync.WaitGroup
	for range answerers {
		wg.Go(func() { p.answerLoop(ctx, asks, chunks) })
	}
	wg.Go(func() { p.statusLoop(ctx, statuses) })
	wg.Go(func() { p.replyLoop(ctx, replies) })
	p.publishLoop(ctx)
	wg.Wait()
	return nil
}

func (p *Pusher) subscribe(asks, chunks, statuses, replies chan *nats.Msg) ([]*nats.Subscription, error) {
	var subs []*nats.Subscription
	for _, want := range []func() (*nats.Subscription, error){
		func() (*nats.Subscription, error) { return p.nc.ChanQueueSubscribe(wire.AskPattern(), askQueue, asks) },
		func() (*nats.Subscription, error) {
			return p.nc.ChanSubscribe(wire.ChunkPattern(p.cfg.Node), chunks)
		},
		func() (*nats.Subscription, error) { return p.nc.ChanSubscribe(wire.StatusPattern(), statuses) },
		func() (*nats.Subscription, error) {
			return p.nc.ChanSubscribe(wire.ReplyPattern(p.cfg.Node), replies)
		},
	} {
		s, err := want()
		if err != nil {
			return subs, fmt.Errorf("push: subscribe: %w", err)
		}
		subs = append(subs, s)
	}
	return subs, nil
}
