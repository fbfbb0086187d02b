package feed

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// reporter tells the control plane what the worker does: at each change, and in every period.
type reporter struct {
	cfg         *Config
	tags        []string
	incarnation uint64
	news        chan struct{} // one value: something changed

	mu sync.Mutex
	// guards the following
	seq      uint64
	streams  map[wire.Stream]*wire.StreamStatus
	failing  map[string]Result
	total    int
	complete bool
	held     map[string]heldSubscription
	standing standing
}

func newReporter(cfg *Config, sel wire.Selector, incarnation uint64) *reporter {
	r := &reporter{
		cfg: cfg, tags: sel.Tags(), incarnation: incarnation, news: make(chan struct{}, 1),
		streams: map[wire.Stream]*wire.StreamStatus{}, failing: map[string]Result{},
		held: map[string]heldSubscription{},
	}
	for _, name := range sel.Streams() {
		r.streams[name] = &wire.StreamStatus{Stream: string(name), Digest: make([]byte, wire.DigestSize)}
	}
	return r
}

func (r *reporter) wake() {
	select {
	case r.news <- struct{}{}:
	default: // told already
	}
}

// progressed notes what the sink has applied. A position that moved with nothing to apply waits for the period.
func (r *reporter) progressed(b batch, results []Result, applied bool) {
	r.mu.Lock()
	for _, p := range b.progress {
		s := r.streams[p.stream]
		s.Applied, s.Digest, s.Apis = p.at.Position(), p.digest[:], uint32(p.apis) //nolint:gosec // bounded by MaxItems
	}
	for _, d := range b.update.Changed {
		delete(r.failing, d.APIID)
	}
	for _, id := range b.update.Removed {
		delete(r.failing, id)
	}
	r.merge(results)
	r.hold(b.update)
	r.total = b.total
	r.complete = r.complete || applied
	r.mu.Unlock()
	if applied {
		r.wake()
	}
}

func (r *reporter) results(results []Result) {
	r.mu.Lock()
	r.merge(results)
	r.mu.Unlock()
	r.wake()
}

// merge enters results. The lock is held.
func (r *reporter) merge(results []Result) {
	for _, res := range results {
		if res.State == Serving {
			delete(r.failing, res.APIID)
		} else {
			r.failing[res.APIID] = res
		}
	}
}

// fault notes why a stream is not taken further, nil when all is well again.
func (r *reporter) fault(name wire.Stream, err error) {
	text := ""
	if err != nil {
		text = clip(err.Error(), wire.MaxErrorBytes)
	}
	r.mu.Lock()
	changed := r.streams[name].GetFault() != text
	r.streams[name].Fault = text
	r.mu.Unlock()
	if changed {
		r.wake()
	}
}

// trouble is the fault of a stream, nil where there is none.
func (r *reporter) trouble() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.streams {
		if s.GetFault() != "" {
			return fmt.Errorf("definitions are not up to date: %s", s.GetFault())
		}
	}
	return nil
}

// refused counts a message that was not trusted.
func (r *reporter) refused(name wire.Stream, err error) {
	r.mu.Lock()
	r.streams[name].Refused++
	r.streams[name].LastRefusal = clip(err.Error(), wire.MaxErrorBytes)
	r.mu.Unlock()
	r.wake()
}

// run reports until ctx ends.
func (r *reporter) run(ctx context.Context, nc *nats.Conn, log *slog.Logger) {
	defer r.rest()
	period := time.NewTimer(0)
	defer period.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select { // not more often than every statusMin
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-r.news:
		case <-period.C:
		}
		if err := r.send(nc, false); err != nil {
			log.Debug("report status", "worker", r.cfg.Worker, "err", err)
		}
		period.Reset(jitter(r.cfg.Period))
		rest.Reset(statusMin)
	}
}

// leave reports that the worker stops, if NATS is there to be told.
func (r *reporter) leave(nc *nats.Conn) {
	if nc.IsConnected() && r.send(nc, true) == nil {
		_ = nc.FlushTimeout(leaveTimeout) // else the worker is noticed missing
	}
}

func (r *reporter) send(nc *nats.Conn, leaving bool) error {
	b, err := wire.Encode(r.status(leaving))
	if err != nil {
		return err
	}
	return nc.Publish(wire.StatusSubject(r.cfg.Worker), b)
}

func (r *reporter) status(leaving bool) *wire.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	s := &wire.Status{
		V: wire.Version, Worker: r.cfg.Worker, Incarnation: r.incarnation, Seq: r.seq, Tags: r.tags,
		PeriodMs: uint32(r.cfg.Period.Milliseconds()), //nolint:gosec // bounded by complete
		Ready:    r.complete, Leaving: leaving, Version: r.cfg.Version,
		FailingTotal: uint32(len(r.failing)), ServingTotal: uint32(max(0, r.total-len(r.failing))), //nolint:gosec // bounded by MaxItems
	}
	if r.cfg.Connections != nil {
		s.Connections = r.cfg.Connections()
	}
	for _, st := range r.streams {
		s.Streams = append(s.Streams, &wire.StreamStatus{
			Stream: st.GetStream(), Applied: st.GetApplied(), Digest: st.GetDigest(), Apis: st.GetApis(),
			Fault: st.GetFault(), Refused: st.GetRefused(), LastRefusal: st.GetLastRefusal(),
		})
	}
	slices.SortFunc(s.Streams, func(a, b *wire.StreamStatus) int { return cmp.Compare(a.GetStream(), b.GetStream()) })
	s.Failing = r.list()
	r.subscriptions(s)
	return s
}

// list is the failing APIs, the newest failures with their texts. The lock is held.
func (r *reporter) list() []*wire.APIStatus {
	all := make([]Result, 0, len(r.failing))
	for _, res := range r.failing {
		all = append(all, res)
	}
	slices.SortFunc(all, func(a, b Result) int {
		return cmp.Or(cmp.Compare(b.Revision, a.Revision), cmp.Compare(a.APIID, b.APIID))
	})
	out := make([]*wire.APIStatus, 0, min(len(all), wire.MaxFailing))
	for i, res := range all[:min(len(all), wire.MaxFailing)] {
		a := &wire.APIStatus{
			ApiId: res.APIID, Revision: res.Revision, Serving: res.Serving, State: wire.APIState_API_STATE_FAILED,
		}
		if res.State == Rejected {
			a.State = wire.APIState_API_STATE_REJECTED
		}
		if i < wire.MaxFailingTexts {
			a.Error = clip(res.Error, wire.MaxErrorBytes)
		}
		out = append(out, a)
	}
	return out
}

// clip cuts s to at most n bytes and makes it valid UTF-8, as protobuf wants it.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
