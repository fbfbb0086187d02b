// Package mock is the endpoint without a broker (spec 3.8): subscribers get the same message again and again, publishers
// have theirs counted and thrown away. One goroutine, Run, wakes subscribers; what they get is worked out from the clock
// when they poll.
//
// It stands in for a broker at every level: where a client that gives an identifier is, is remembered as long as the
// endpoint lives, and in this worker alone, so that it resumes there under auto, gets again under at-least-once what it gave
// no proof of, and gets nothing twice under at-most-once, where what is handed over is remembered first.
package mock

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is an endpoint's configuration.
type Config struct {
	// MessageInterval is the time between two messages, in milliseconds. Default 1000; 0: as fast as they are taken.
	MessageInterval int64 `json:"messageInterval"`
	// MessageContent is what every message holds, verbatim. Default "mock message".
	MessageContent string `json:"messageContent"`
	// MessageCount is how many messages there are. Default: no limit.
	MessageCount *int64 `json:"messageCount"`
	// Headers of every message.
	Headers []Pair `json:"headers"`
	// Metadata of every message.
	Metadata []Pair `json:"metadata"`
}

// Pair is a name and a value.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Defaults of spec 3.8.
const (
	defaultInterval = 1000 // milliseconds
	defaultContent  = "mock message"
)

// Type is the catalog entry of the definition's type "mock".
var Type = connectors.EndpointType{
	Name:  "Mock",
	Modes: connectors.Subscribe | connectors.Publish,
	Check: func(cfg, shared json.RawMessage) apidef.Problems {
		_, ps := read(cfg, shared)
		return ps
	},
	New: func(cfg, shared json.RawMessage, env connectors.Env) (connectors.Endpoint, error) {
		return New(cfg, shared, env)
	},
}

func read(cfg, shared json.RawMessage) (Config, apidef.Problems) {
	c := Config{MessageInterval: defaultInterval, MessageContent: defaultContent}
	ps := connectors.Decode(cfg, &c)
	for _, p := range connectors.Decode(shared, &struct{}{}) { // it has no shared settings
		p.Pointer = "/shared" + p.Pointer
		ps = append(ps, p)
	}
	if c.MessageInterval < 0 {
		ps = append(ps, connectors.Invalid("/messageInterval", "must not be negative"))
	}
	if c.MessageCount != nil && *c.MessageCount < 0 {
		ps = append(ps, connectors.Invalid("/messageCount", "must not be negative"))
	}
	return c, ps
}

// Endpoint gives and takes messages.
type Endpoint struct {
	interval time.Duration
	count    int64 // -1: no limit
	content  []byte
	headers  []message.Header
	metadata []message.Field
	log      *slog.Logger
	taken    atomic.Int64
	changed  chan struct{} // somebody waits
	memory   memory

	mu      sync.Mutex // guards the following
	waiting map[*subscription]time.Time
	ended   bool
}

// New validates and allocates.
func New(cfg, shared json.RawMessage, env connectors.Env) (*Endpoint, error) {
	c, ps := read(cfg, shared)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	e := &Endpoint{interval: time.Duration(c.MessageInterval) * time.Millisecond, count: -1, content: []byte(c.MessageContent),
		log: env.Log, changed: make(chan struct{}, 1), waiting: map[*subscription]time.Time{}}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if c.MessageCount != nil {
		e.count = *c.MessageCount
	}
	for _, h := range c.Headers {
		e.headers = append(e.headers, message.Header{Name: h.Name, Value: []byte(h.Value)})
	}
	for _, f := range c.Metadata {
		e.metadata = append(e.metadata, message.Field{Name: f.Name, Text: f.Value})
	}
	return e, nil
}

// Published is how many messages were taken.
func (e *Endpoint) Published() int64 { return e.taken.Load() }

// Publish implements connectors.Publisher: every message is taken at once.
func (e *Endpoint) Publish(_ context.Context, _ *exchange.Exchange, m *message.Message) {
	e.taken.Add(1)
	m.Done(nil)
}

// AppendMetadata implements message.Origin.
func (e *Endpoint) AppendMetadata(dst []message.Field, m *message.Message) []message.Field {
	dst = append(dst, e.metadata...)
	return append(dst, message.Field{Name: "sourceTimestamp", Int: m.Timestamp, IsInt: true}) // addenda 3.4-b
}

// Subscribe implements connectors.Source. The cursor is the number of the last message; as in the reference, one that is
// no number starts at 0.
func (e *Endpoint) Subscribe(_ context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	s, err := e.subscribe(x, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Run wakes subscribers when their next message is due, until ctx ends.
func (e *Endpoint) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(e.wakeDue(time.Now()))
		select {
		case <-ctx.Done():
			e.end()
			return nil
		case <-timer.C:
		case <-e.changed:
		}
	}
}

// wakeDue wakes those whose time has come and returns how long the next one has to wait.
func (e *Endpoint) wakeDue(now time.Time) time.Duration {
	wait := time.Hour
	var due []*subscription
	e.mu.Lock()
	for s, at := range e.waiting {
		if d := at.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		delete(e.waiting, s)
		due = append(due, s)
	}
	e.mu.Unlock()
	for _, s := range due {
		s.wake()
	}
	return wait
}

func (e *Endpoint) end() {
	e.mu.Lock()
	e.ended = true
	waiting := e.waiting
	e.waiting = map[*subscription]time.Time{}
	e.mu.Unlock()
	for s := range waiting {
		s.wake()
	}
}

var (
	_ connectors.Endpoint  = (*Endpoint)(nil)
	_ connectors.Publisher = (*Endpoint)(nil)
	_ connectors.Source    = (*Endpoint)(nil)
	_ message.Origin       = (*Endpoint)(nil)
)
