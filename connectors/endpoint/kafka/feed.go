package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// feeds are an endpoint's sets of topics that are read: the configured one, and those that attributes name.
type feeds struct {
	e       *Endpoint
	control control
	slots   chan struct{} // one per catch-up reader that runs
	counted registry
	turns   supervise.Turns

	mu    sync.Mutex // guards the following
	all   map[string]*feed
	ended bool
}

// maxFeeds bounds the topic sets that attributes may name, per endpoint.
const maxFeeds = 64

// feed serves one set of topics. Nothing in it belongs to one API but the endpoint that it is made by, so that endpoints
// of the same cluster can share it once there is a registry per worker.
type feed struct {
	e       *Endpoint
	control *control
	slots   chan struct{}
	counted *registry
	turns   *supervise.Turns
	reading

	matches atomic.Pointer[matches] // nil: none yet, or no pattern
	looking sync.Mutex              // one discover at a time
	left    atomic.Int64            // topics that match and are not read

	mu       sync.Mutex // guards the following
	reader   *reader
	starting chan struct{} // closed when the start that is under way has ended; nil: none is
	ended    bool
}

func (fs *feeds) init(e *Endpoint) {
	fs.e = e
	fs.control.e = e
	fs.slots = make(chan struct{}, e.limits.CatchUpReaders)
	fs.all = map[string]*feed{}
}

// of returns the feed of a reading.
func (fs *feeds) of(what reading) (*feed, error) {
	key := what.key()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.ended {
		return nil, supervise.ErrEnded
	}
	if f := fs.all[key]; f != nil {
		return f, nil
	}
	if len(fs.all) >= maxFeeds {
		fs.forgetIdle()
	}
	if len(fs.all) >= maxFeeds {
		return nil, &message.Failure{Status: statusRetry, Key: message.KeyUnknownError,
			Message: "too many different sets of topics are read at once"}
	}
	f := &feed{e: fs.e, control: &fs.control, slots: fs.slots, counted: &fs.counted, turns: &fs.turns, reading: what}
	fs.all[key] = f
	return f, nil
}

// forgetIdle drops the feeds that nobody reads. The caller holds mu.
func (fs *feeds) forgetIdle() {
	for key, f := range fs.all {
		f.mu.Lock()
		if f.reader == nil && f.starting == nil {
			f.ended = true // who holds it already looks for a new one
			delete(fs.all, key)
		}
		f.mu.Unlock()
	}
}

// subscribe implements connectors.Source.
func (fs *feeds) subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	set := &fs.e.set
	if !set.consume {
		return nil, &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid,
			Message: textInvalid + ": the consumer is disabled"}
	}
	what, fail := asked(x, set.reading)
	if fail != nil {
		return nil, fail
	}
	if !what.valid() {
		return nil, &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid,
			Message: textInvalid + ": there is no topic to read (consumer.topics)"}
	}
	w, fail := want(x, o.Cursor, o.Until != "", &what, set.reset)
	if fail != nil {
		return nil, fail
	}
	if o.Instance != "" && o.Until == "" && x.ClientSupplied {
		w.shared(x)
	}
	if o.Until != "" {
		w.group = "" // a look back beside the client's own progress: it saves nothing
	}
	for {
		f, err := fs.of(what)
		if err != nil {
			return nil, subscribeFailure(err)
		}
		s, err := f.subscribe(ctx, x, o, w)
		if errors.Is(err, errRetired) {
			continue
		}
		if err != nil {
			return nil, subscribeFailure(err)
		}
		return s, nil
	}
}

// errRetired: the reader or the feed ended between being found and being used.
var errRetired = errors.New("reader has retired")

func (f *feed) subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions, w wanted) (connectors.Subscription, error) {
	r, err := f.running(ctx)
	if err != nil {
		return nil, err
	}
	if r.down.Load() {
		return nil, &message.Failure{Status: statusRetry, Key: message.KeyConnectionFailed, Message: textFailed}
	}
	s := &subscription{r: r, wake: o.Wake, slot: noSlot, resumes: !w.live || w.share, limit: o.Limit, group: w.group}
	if w.counts(x.QoS) {
		s.group = "" // its positions are not this place's to save
	}
	if s.wake == nil {
		s.wake = func() {}
	}
	if s.resumes {
		r.wantIDs.Store(true)
	}
	if !r.enter(s) {
		return nil, errRetired
	}
	sub, err := s.begin(ctx, x.QoS, o, w)
	if err != nil {
		s.group = ""
		s.Close(ctx)
		return nil, err
	}
	return sub, nil
}

// begin starts s, as it is or behind what counts.
func (s *subscription) begin(ctx context.Context, level qos.Level, o connectors.SubscribeOptions, w wanted) (connectors.Subscription, error) {
	switch {
	case !w.counts(level):
		if o.Until != "" {
			if err := s.endAt(ctx, o.Until); err != nil {
				return nil, err
			}
		}
		return s, s.start(ctx, w)
	case o.Page:
		return s.startPage(ctx, level, o.Deadline, w)
	}
	return s.startMember(ctx, level, o.Instance, w)
}

// running returns the reader; the first who asks starts it, others wait for the result.
func (f *feed) running(ctx context.Context) (*reader, error) {
	for {
		f.mu.Lock()
		switch {
		case f.ended:
			f.mu.Unlock()
			return nil, errRetired
		case f.reader != nil:
			defer f.mu.Unlock()
			return f.reader, nil
		case f.starting == nil:
			started := make(chan struct{})
			f.starting = started
			f.mu.Unlock()
			return f.begin(ctx, started)
		}
		wait := f.starting
		f.mu.Unlock()
		select {
		case <-wait: // started, or failed for whoever asked: then this one asks for itself
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (f *feed) begin(ctx context.Context, started chan struct{}) (*reader, error) {
	r, err := f.startReader(ctx)
	f.mu.Lock()
	f.reader, f.starting = r, nil
	f.mu.Unlock()
	close(started)
	return r, err
}

// retire takes r out of service, unless somebody has come.
func (f *feed) retire(r *reader) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.subs) > 0 {
		return false
	}
	r.stopped = true
	f.reader = nil
	return true
}

// enter takes a subscription; false: the reader has retired.
func (r *reader) enter(s *subscription) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.subs[s] = struct{}{}
	r.f.e.stats.subscribers.Add(1)
	return true
}

func (r *reader) leave(s *subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.subs[s]; ok {
		delete(r.subs, s)
		r.f.e.stats.subscribers.Add(-1)
	}
}

// layoutOf numbers the partitions that were found and returns where they are.
func (f *feed) layoutOf(found offsets) (*layout, vector) {
	places := found.places()
	var vec vector
	for _, p := range places {
		vec = append(vec, found.at[p])
	}
	return newLayout(f.topics, places), vec
}

// end fails every subscription, present and future.
func (fs *feeds) end() {
	for _, r := range fs.stop() {
		r.fail(&message.Failure{Status: statusRetry, Key: message.KeyConnectionClosed, Message: message.TextConnectionClosed, Err: supervise.ErrEnded})
	}
}

func (fs *feeds) stop() []*reader {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.ended = true
	return fs.readers()
}

// readers lists the readers that run. The caller holds mu.
func (fs *feeds) readers() []*reader {
	var out []*reader
	for _, f := range fs.all {
		f.mu.Lock()
		if f.reader != nil {
			out = append(out, f.reader)
		}
		f.mu.Unlock()
	}
	return out
}

// save saves what is delivered, for all who were not closed before.
func (fs *feeds) save(ctx context.Context) {
	fs.counted.closeAll(ctx)
	for _, r := range fs.stop() {
		r.saveAll(ctx)
	}
}

func (fs *feeds) close() { fs.control.close() }
