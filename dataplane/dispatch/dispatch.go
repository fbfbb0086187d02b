// Package dispatch runs the push subscriptions of a worker (spec 7.5): it keeps one run for each subscription that is to be
// served, and for each of its replays, brings it to the API where that is served, tries again what failed, and tells how
// things stand. What a delivery is, its connector knows; what an API is, the reactor.
//
// Every worker that serves an API runs all its subscriptions. What each of them gets is for the endpoint to say: they share
// one client identifier, and so one consumer group or session.
//
// Goroutines: Run owns all and waits for them, one for each run. Apply, Served, States and Attempts may be called from any.
// Lock: Dispatcher.mu and history.mu, never both.
package dispatch

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/proto/bundle"
)

// Defaults.
const (
	// DefaultMax is how many subscriptions and replays deliver at once. More wait for one that ends. Ours: at 64 KiB for
	// each, what is under way and its connection, they take about as much memory as other clients of a worker.
	DefaultMax = 10_000
	// DefaultFirstRetry is the time after the first failure in a row; each further one doubles it (spec 7.5:
	// subscriptionEndpointRetry.delayMs, EXPONENTIAL).
	DefaultFirstRetry = 5 * time.Second
	// DefaultMaxRetry bounds that time. The reference has no bound (maxDelayMs -1): after a night's outage the next try
	// would be due in hours. How often is tried has no bound here either.
	DefaultMaxRetry = 5 * time.Minute
	// DefaultAttempts are the attempts kept of each subscription.
	DefaultAttempts = 50
	// DefaultHistoryBytes bounds the attempts kept of all subscriptions.
	DefaultHistoryBytes = 16 << 20

	// settled is how long a run must have lasted for the next failure to count as the first again. Ours.
	settled = time.Minute
)

// Config is what a Dispatcher keeps to. Numbers that are not above zero mean the defaults.
type Config struct {
	// Instance is the worker's name, the same after a restart (see connectors.Dispatch.Instance).
	Instance     string
	Max          int
	FirstRetry   time.Duration
	MaxRetry     time.Duration
	Attempts     int
	HistoryBytes int
}

func (c Config) complete() Config {
	fill(&c.Max, DefaultMax)
	fill(&c.FirstRetry, DefaultFirstRetry)
	fill(&c.MaxRetry, DefaultMaxRetry)
	fill(&c.Attempts, DefaultAttempts)
	fill(&c.HistoryBytes, DefaultHistoryBytes)
	return c
}

func fill[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

// APIs are those that the worker serves.
type APIs interface {
	// Push serves a subscription by the API of that id until it ends; see reactor.Reactor. Called from many goroutines.
	Push(ctx context.Context, id string, p *flow.Push) error
}

// Deps are what a Dispatcher works with.
type Deps struct {
	APIs     APIs
	Log      *slog.Logger
	Counters *meter.Registry
}

// Dispatcher runs push subscriptions.
type Dispatcher struct {
	cfg     Config
	apis    APIs
	log     *slog.Logger
	push    *meter.Push
	slots   chan struct{} // one value for each run that delivers
	news    chan struct{} // one value: fresh is not empty
	changed func()        // see Watch
	history history

	mu sync.Mutex
	// guards the following, and what jobs say that it does
	subscriptions map[string]map[string]*job // by id, then by the replay's id; "" is the live delivery
	fresh         []*job                     // not started yet
}

// New returns a dispatcher that serves nothing yet.
func New(cfg Config, deps Deps) *Dispatcher {
	cfg = cfg.complete()
	d := &Dispatcher{cfg: cfg, apis: deps.APIs, log: deps.Log, push: &deps.Counters.Push, slots: make(chan struct{}, cfg.Max),
		news: make(chan struct{}, 1), changed: func() {}, subscriptions: map[string]map[string]*job{}}
	d.history.init(cfg.Attempts, cfg.HistoryBytes)
	return d
}

// Watch names who is told that States has changed: from any goroutine, without locks; it must not block. Called before Run.
func (d *Dispatcher) Watch(f func()) { d.changed = f }

// Run serves subscriptions until ctx ends, then waits for the deliveries under way.
func (d *Dispatcher) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		d.mu.Lock()
		fresh := d.fresh
		d.fresh = nil
		d.mu.Unlock()
		for _, j := range fresh {
			running.Go(func() { d.serve(ctx, j) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.news:
		}
	}
}

// Apply makes the changed subscriptions what is served, besides those that did not change, and ends the removed ones. full:
// changed is everything, what is served besides goes. It returns at once: what is ended finishes what is under way first,
// and what changed begins anew after that. A subscription that is as it was is left alone, also where it has failed.
func (d *Dispatcher) Apply(_ context.Context, changed []*bundle.Subscription, removed []string, full bool) {
	d.mu.Lock()
	news := false
	kept := make(map[string]bool, len(changed))
	for _, s := range changed {
		kept[s.ID] = true
		news = d.want(s.ID, plan(s)) || news
	}
	gone := removed
	if full {
		gone = nil
		for id := range d.subscriptions {
			if !kept[id] {
				gone = append(gone, id)
			}
		}
	}
	for _, id := range gone {
		news = d.want(id, nil) || news
	}
	starting := len(d.fresh) > 0
	d.mu.Unlock()
	for _, id := range gone {
		d.history.forget(id)
	}
	if starting {
		select {
		case d.news <- struct{}{}:
		default: // told already
		}
	}
	if news {
		d.changed()
	}
}

// want makes specs, by the replay's id, what is run for a subscription. The lock is held. It returns whether States is another.
func (d *Dispatcher) want(id string, specs map[string]*spec) (news bool) {
	jobs := d.subscriptions[id]
	for replay, j := range jobs {
		if specs[replay] == nil {
			d.give(j, nil)
			news = true
		}
	}
	for replay, s := range specs {
		if j := jobs[replay]; j != nil {
			if j.wanted == nil || !bytes.Equal(j.wanted.encoded, s.encoded) {
				d.give(j, s)
				news = true
			}
			continue
		}
		if jobs == nil {
			jobs = map[string]*job{}
			d.subscriptions[id] = jobs
		}
		j := &job{id: id, replay: replay, wanted: s, served: make(chan struct{}, 1), cause: startText(s), since: time.Now()}
		jobs[replay] = j
		news = true
		d.push.States[Waiting].Add(1)
		d.fresh = append(d.fresh, j)
	}
	return news
}

// Served is told which APIs are served anew or no longer: what waits for one of them tries again.
func (d *Dispatcher) Served(ids []string) {
	apis := make(map[string]bool, len(ids))
	for _, id := range ids {
		apis[id] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, jobs := range d.subscriptions {
		for _, j := range jobs {
			if j.wanted != nil && apis[j.wanted.API] {
				select {
				case j.served <- struct{}{}:
				default: // told already
				}
			}
		}
	}
}

// Attempts returns what is kept of the attempts of a subscription and its replays, the oldest first.
func (d *Dispatcher) Attempts(id string) []connectors.Attempt { return d.history.of(id) }

// spec is one thing to run: a subscription without its replays, or one of them.
type spec struct {
	bundle.Subscription
	replay  *bundle.Replay // nil: live
	encoded []byte         // what makes it equal to another
}

// plan returns what is to be run for a subscription, by the replay's id.
func plan(s *bundle.Subscription) map[string]*spec {
	if !s.Dispatch {
		return nil
	}
	out := make(map[string]*spec, 1+len(s.Replays))
	add := func(name string, replays []bundle.Replay) {
		one := &spec{Subscription: *s}
		one.Replays = replays
		if len(replays) > 0 {
			one.replay = &replays[0]
		}
		encoded, err := bundle.EncodeSubscription(&one.Subscription)
		if err != nil { // its configuration is no JSON; the connector says so
			encoded = fmt.Appendf(nil, "%+v", one.Subscription)
		}
		one.encoded = encoded
		out[name] = one
	}
	add("", nil)
	for i, r := range s.Replays {
		if r.ID != "" { // else it would take the live delivery's place; the control plane gives each an id
			add(r.ID, s.Replays[i:i+1])
		}
	}
	return out
}
