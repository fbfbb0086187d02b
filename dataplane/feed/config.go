package feed

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// Defaults and bounds.
const (
	// DefaultPeriod is the time between statuses when nothing happens. The control plane takes a worker for dead
	// after three of them.
	DefaultPeriod = time.Second
	// DefaultRequestTimeout is how long an answer is waited for.
	DefaultRequestTimeout = 5 * time.Second
	// DefaultBackOffMax bounds the time between two attempts, of connecting and of asking.
	DefaultBackOffMax = 5 * time.Second
	// DefaultSpread is over how long workers that were cut off together come back with their questions.
	DefaultSpread = 250 * time.Millisecond

	backOffMin     = 20 * time.Millisecond
	statusMin      = 10 * time.Millisecond  // between two statuses, so that a burst of changes is reported once
	leaveTimeout   = time.Second            // to hand the last status over
	askMessages    = 64                     // questions for attempts that wait; above it NATS drops, and who asks does without
	statesEvery    = 200 * time.Millisecond // between two looks at how the subscriptions stand, of which there may be 100,000
	streamMessages = 1_024                  // pushes and heartbeats that wait while a snapshot is fetched; above it NATS drops, which is a gap
	chunkWindow    = 4                      // chunks asked for ahead: 1 MiB on the way covers 10 MB/s at 100 ms
	parallelAsks   = 2                      // streams of a worker that fetch at once; the others wait
	pingInterval   = 5 * time.Second        // a dead link is noticed after two
	quietBeats     = 3                      // heartbeats missed before the control plane is asked
)

// Config is what a Feed needs.
type Config struct {
	Cluster string              // the cluster's id, which every signature must carry
	Worker  string              // this worker's name, unique in the cluster
	Tags    []string            // sharding tags; "!tag" excludes; none: every API
	Keys    []ed25519.PublicKey // trusted to sign
	Version string              // reported in the status

	Servers   []string                   // nats:// or tls:// URLs, tried in random order
	TLS       *tls.Config                // for tls:// URLs; nil: in the clear, and then nowhere but to Servers
	Seed      []byte                     // the worker's NATS nkey seed; empty: no authentication
	Login     nats.Option                // how it proves itself to an external cluster, instead of Seed
	InProcess nats.InProcessConnProvider // an embedded server, instead of Servers
	// Explain adds to a failure to connect what the user can do about it; nil: nothing.
	Explain func(error) error

	Connections func() uint64 // client connections now, reported in the status; nil: not reported
	// Subscriptions tells how the push subscriptions stand; nil: they are not served, and nothing is told of them.
	Subscriptions Subscriptions

	// Beside runs on the worker's connection as long as it follows the control plane, until ctx ends; nil: nothing does. Its
	// error is one of configuration, and ends the feed.
	Beside func(ctx context.Context, nc *nats.Conn) error

	Period         time.Duration // default DefaultPeriod
	RequestTimeout time.Duration // default DefaultRequestTimeout
	BackOffMax     time.Duration // default DefaultBackOffMax
	Spread         time.Duration // default DefaultSpread

	Log   *slog.Logger
	Meter metric.Meter
}

func (c *Config) complete() error {
	var errs []error
	if c.Cluster == "" {
		errs = append(errs, errors.New("feed: no cluster id"))
	}
	if err := wire.CheckName(c.Worker); err != nil {
		errs = append(errs, fmt.Errorf("feed: %w", err))
	}
	if len(c.Servers) == 0 && c.InProcess == nil {
		errs = append(errs, errors.New("feed: no NATS server"))
	}
	if len(c.Seed) > 0 && c.Login != nil {
		errs = append(errs, errors.New("feed: both a seed and another login"))
	}
	if c.Log == nil || c.Meter == nil {
		errs = append(errs, errors.New("feed: no logger or no meter"))
	}
	c.Period = orDefault(c.Period, DefaultPeriod)
	c.RequestTimeout = orDefault(c.RequestTimeout, DefaultRequestTimeout)
	c.BackOffMax = orDefault(c.BackOffMax, DefaultBackOffMax)
	c.Spread = orDefault(c.Spread, DefaultSpread)
	return errors.Join(errs...)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Sink takes the deployments in. Apply is called from one goroutine, never twice at once.
type Sink interface {
	// Apply makes u what is served, and returns a Result for each changed API that is not served as sent; one
	// that has none is. It keeps what it served of an API that it cannot build. While it is busy, changes add up and
	// the next Update has the latest of each. ctx ends when the worker stops; Apply then returns soon.
	Apply(ctx context.Context, u Update) []Result
}

// Subscriptions is what serves the push subscriptions that a Sink got. Its methods are called from any goroutine, and must
// not call the feed.
type Subscriptions interface {
	// States returns the subscriptions that are not simply running, and the replays that are over. It is called when
	// Feed.SubscriptionsChanged said so, and not more than a few times a second.
	States() []SubscriptionState
	// Attempts returns what is kept of the last attempts to deliver to a subscriber, the oldest first.
	Attempts(subscription string) []connectors.Attempt
}

// SubscriptionState is how a subscription, or one of its replays, stands on this worker.
type SubscriptionState struct {
	ID     string
	Replay string // empty: the live delivery
	State  SubscriptionKind
	Cause  string    // for the user; empty: there is nothing to tell
	Since  time.Time // when this state began
	Lag    *uint64   // messages that wait; nil: not known
}

// SubscriptionKind is what a worker does with a subscription.
type SubscriptionKind int

// Kinds.
const (
	Running            SubscriptionKind = iota // or about to: it is told only where there is a lag to tell
	Retrying                                   // the endpoint or the subscriber is away, and it is tried again
	Resting                                    // the subscriber's circuit is open
	FailedSubscription                         // trying again would not help: the control plane stops it everywhere
	Ended                                      // its time is over, or there will never be another message
)

// Update leads from what the sink has to the deployments at Revision. It is immutable.
type Update struct {
	Revision uint64
	Changed  []Deployment // in revision order
	Removed  []string
	Full     bool // Changed and Subscriptions are everything: what the sink has besides is to go

	Subscriptions        []SubscriptionChange // in revision order
	RemovedSubscriptions []string
}

func (u *Update) empty() bool {
	return len(u.Changed)+len(u.Removed)+len(u.Subscriptions)+len(u.RemovedSubscriptions) == 0
}

// SubscriptionChange is one subscription as it is to be served.
type SubscriptionChange struct {
	ID         string
	Revision   uint64
	Tags       []string // of its API
	Definition []byte   // proto/bundle.Subscription, encoded
}

// Deployment is one API as it is to be served.
type Deployment struct {
	APIID      string
	Revision   uint64
	Tags       []string
	Definition []byte
}

// Result is what became of a revision of an API.
type Result struct {
	APIID    string
	Revision uint64
	State    State
	Serving  uint64 // the revision served in its place, 0 for none
	Error    string // for the user: what, where, what to do
}

// State is what the sink does with a revision.
type State int

// States.
const (
	Serving  State = iota // as sent
	Failed                // it could not be built
	Rejected              // it is not a definition that this worker can read
)

// Feed follows the control plane for one worker. Its methods but Run may be called from any goroutine.
type Feed struct {
	cfg      Config
	log      *slog.Logger
	sink     Sink
	selector wire.Selector
	verifier *wire.Verifier
	codec    *wire.Codec
	metrics  *metrics
	store    *store
	reporter *reporter
	asking   chan struct{} // holds a value for each follower that is fetching
	ready    chan struct{}
	isReady  atomic.Bool
	away     away
}

// New returns a feed that hands what it gets to sink. It does not connect yet.
func New(cfg Config, sink Sink) (*Feed, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	sel, err := wire.ParseSelector(cfg.Tags)
	if err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	verifier, err := wire.NewVerifier(cfg.Cluster, cfg.Keys...)
	if err != nil {
		return nil, fmt.Errorf("feed: trusted keys: %w", err)
	}
	codec, err := wire.NewCodec()
	if err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	m, err := newMetrics(cfg.Meter)
	if err != nil {
		return nil, fmt.Errorf("feed: register metrics: %w", err)
	}
	f := &Feed{
		cfg: cfg, log: cfg.Log, sink: sink, selector: sel, verifier: verifier, codec: codec, metrics: m,
		store: newStore(sel), ready: make(chan struct{}), asking: make(chan struct{}, parallelAsks),
	}
	f.away.set(errNotTried)
	f.reporter = newReporter(&f.cfg, sel, rand.Uint64()) //nolint:gosec // not a secret
	return f, nil
}

// Ready is closed when the first complete snapshot has been applied: the worker serves its definitions.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// Report tells the control plane of an API whose state changed after Apply, such as one that could be built later.
func (f *Feed) Report(results ...Result) { f.reporter.results(results) }

// SubscriptionsChanged tells the control plane that Subscriptions.States has changed. It does not block.
func (f *Feed) SubscriptionsChanged() { f.reporter.subscriptionsChanged() }

// Trouble tells why the worker does not follow the control plane now, nil where it does. What is served is not touched
// by it.
func (f *Feed) Trouble() error {
	if err := f.away.why(); err != nil {
		return err
	}
	return f.reporter.trouble()
}

// Run follows the control plane until ctx ends. It returns an error only for a configuration that cannot work, such
// as an unreadable credentials file; it waits for NATS and the control plane as long as it takes.
func (f *Feed) Run(ctx context.Context) error {
	streams := f.selector.Streams()
	followers := make([]*follower, len(streams))
	for i, s := range streams {
		followers[i] = newFollower(f, s)
	}
	nc, err := f.connect(ctx, func() {
		for _, fl := range followers {
			fl.wake()
		}
		f.reporter.wake()
	})
	if err != nil {
		return err
	}
	defer nc.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, fl := range followers {
		if err := fl.subscribe(nc); err != nil {
			return err
		}
		wg.Go(func() { fl.run(inner) })
	}
	if f.cfg.Subscriptions != nil {
		asks := make(chan *nats.Msg, askMessages)
		if _, err := nc.ChanSubscribe(wire.AttemptsSubject(f.cfg.Worker), asks); err != nil {
			return fmt.Errorf("feed: subscribe to questions: %w", err)
		}
		wg.Go(func() { f.answerLoop(inner, nc, asks) })
	}
	var beside error
	if f.cfg.Beside != nil {
		wg.Go(func() {
			if beside = f.cfg.Beside(inner, nc); beside != nil {
				cancel()
			}
		})
	}
	wg.Go(func() { f.reporter.run(inner, nc, f.log) })
	f.applyLoop(inner)
	wg.Wait()
	f.reporter.leave(nc)
	return beside
}

// jitter gives a time between half of d and d.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // not a secret
}
