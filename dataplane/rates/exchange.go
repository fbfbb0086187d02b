// Package rates has workers share the counters of rate limits: over NATS, with the bound that package policies/rates states
// (Exchange), or exactly in Redis (Redis).
//
// Each worker tells all others what it counted: absolute counts, numbered, under the number of its run. A message that is
// lost is noticed at the next one, at the latest after Beat, and what it held is asked for; one that comes twice or late changes nothing. A
// worker that starts asks all others, which tell it what they counted and what workers counted that are gone. So a worker
// that restarts finds its own counts as long as one other worker runs. Where none does, counts begin anew; in Redis they stay.
//
// While a worker is cut off it counts alone, so up to N·limit calls are accepted, and what it counted is added when it is back.
//
// Goroutines: Exchange.Run is one, and owns no others. Redis has none but its client's.
package rates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/policies/rates"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// Times and bounds.
const (
	// Beat is how often a worker says something, also when it counted nothing: what was lost is noticed by it.
	Beat = time.Second
	// gone is after how long of silence a worker no longer shares the limits.
	gone = 5 * time.Second
	// askAgain is the shortest time between two questions to the same worker.
	askAgain = 500 * time.Millisecond
	// waiting bounds the messages that wait to be read. What NATS drops beyond them is asked for.
	waiting = 4_096
	// maxRuns bounds the runs of workers that are remembered; others are heard as they come, and asked nothing.
	maxRuns = 4_096
)

// Exchange is one worker's part. It implements rates.Counters for as long as Run runs, and before and after it for this
// worker alone.
type Exchange struct {
	table  rates.Table
	worker string
	origin uint64
	hurry  chan struct{}
	log    *slog.Logger

	// of Run alone
	nc    *nats.Conn
	seq   uint64
	last  time.Time // when it told the last
	runs  map[uint64]*peer
	count []rates.Share

	askedAll time.Time

	due     atomic.Int64 // when the first count that is to be told at once was counted, in Unix microseconds; 0: there is none
	refused atomic.Int64
	behind  atomic.Int64 // how late this worker heard of a count at worst since that was last read, in microseconds
	workers atomic.Int64
}

// peer is a run of another worker.
type peer struct {
	seq    uint64 // all up to this was heard
	heard  time.Time
	asked  time.Time
	expect int64 // how many messages of its answer follow after the next one; -1: no answer is under way
}

// New returns the part of the worker of that name.
func New(worker string, log *slog.Logger, meter metric.Meter) (*Exchange, error) {
	if err := wire.CheckName(worker); err != nil {
		return nil, fmt.Errorf("rates: %w", err)
	}
	e := &Exchange{worker: worker, origin: max(1, rand.Uint64()), hurry: make(chan struct{}, 1), log: log, runs: map[uint64]*peer{}} //nolint:gosec // not a secret
	e.table.Hurry = func() {
		if e.due.Load() == 0 {
			e.due.CompareAndSwap(0, time.Now().UnixMicro())
		}
		select {
		case e.hurry <- struct{}{}:
		default:
		}
	}
	return e, e.register(meter)
}

// Hit implements rates.Counters.
func (e *Exchange) Hit(ctx context.Context, c rates.Call) (rates.Count, error) {
	return e.table.Hit(ctx, c)
}

// Calls returns how many calls of a key this worker knows of.
func (e *Exchange) Calls(k rates.Key) int64 { return e.table.Calls(k) }

// Peers returns how many other workers share the limits.
func (e *Exchange) Peers() int { return int(e.workers.Load()) }

// Behind returns how late this worker heard of another's call at worst, since it was last asked: g + d + s of the bound.
func (e *Exchange) Behind() time.Duration {
	return time.Duration(e.behind.Swap(0)) * time.Microsecond
}

// Run exchanges counts over nc until ctx ends. It returns an error only where it cannot subscribe.
func (e *Exchange) Run(ctx context.Context, nc *nats.Conn) error {
	e.nc = nc
	in := make(chan *nats.Msg, waiting)
	for _, pattern := range []string{wire.RatesPattern(), wire.RatesToPattern(e.worker), wire.RatesAskPattern()} {
		sub, err := nc.ChanSubscribe(pattern, in)
		if err != nil {
			return fmt.Errorf("rates: subscribe to %s: %w", pattern, err)
		}
		defer func() { _ = sub.Unsubscribe() }() // it ends with the connection at the latest
	}
	e.askedAll = time.Now()
	e.ask(0)
	tick := time.NewTicker(rates.Interval)
	defer tick.Stop()
	gap := time.NewTimer(0)
	defer gap.Stop()
	for due := false; ; {
		select {
		case <-ctx.Done():
			e.tell(time.Now(), true)
			return nil
		case m := <-in:
			e.take(m)
		case <-e.hurry:
			if wait := rates.MinGap - time.Since(e.last); wait > 0 {
				due = true
				gap.Reset(wait)
				continue
			}
			e.tell(time.Now(), false)
		case <-gap.C:
			if due {
				due = false
				e.tell(time.Now(), false)
			}
		case <-tick.C:
			now := time.Now()
			e.tell(now, now.Sub(e.last) >= Beat)
			e.age(now)
		}
	}
}

// tell tells all others what changed, or, with always, that nothing did.
func (e *Exchange) tell(now time.Time, always bool) {
	due := e.due.Swap(0)
	if due == 0 {
		due = now.UnixMicro()
	}
	for more := true; more; {
		e.count, more = e.table.Changed(e.count[:0], wire.MaxRateCounts)
		if len(e.count) == 0 && !always {
			return
		}
		always = false
		e.seq++
		e.last = now
		e.send(wire.RatesSubject(e.worker), &wire.RateCounts{DueUs: due}, e.count)
	}
}

// send sends shares. What cannot be sent is missed by the others, who ask for it.
func (e *Exchange) send(subject string, m *wire.RateCounts, shares []rates.Share) {
	m.V, m.Origin, m.Seq, m.Counts = wire.Version, e.origin, e.seq, make([]*wire.RateCount, len(shares))
	for i := range shares {
		s := &shares[i]
		m.Counts[i] = &wire.RateCount{Key: s.Key[:], ResetMs: s.Reset, Count: uint64(max(0, s.Calls)), Origin: s.Origin, Seq: s.Seq} //nolint:gosec // not negative
	}
	if err := e.publish(subject, m); err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) {
		e.log.Debug("rate counters are not told", "err", err)
	}
}

func (e *Exchange) publish(subject string, m proto.Message) error {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err) // of our own making
	}
	return e.nc.Publish(subject, data)
}

// ask asks a run, or all (0), for what it counted.
func (e *Exchange) ask(origin uint64) {
	if err := e.publish(wire.RatesAskSubject(e.worker), &wire.RateAsk{V: wire.Version, Worker: e.worker, Origin: origin}); err != nil {
		e.log.Debug("rate counters are not asked for", "err", err)
	}
}

// take reads a message.
func (e *Exchange) take(m *nats.Msg) {
	if err := e.read(m); err != nil {
		if n := e.refused.Add(1); n&(n-1) == 0 {
			e.log.Warn("rate counters refused", "subject", m.Subject, "err", err, "count", n)
		}
	}
}

func (e *Exchange) read(m *nats.Msg) error {
	if wire.IsRateAsk(m.Subject) {
		ask, err := wire.DecodeRateAsk(m.Subject, m.Data)
		if err != nil {
			return err
		}
		if ask.GetWorker() != e.worker && (ask.GetOrigin() == 0 || ask.GetOrigin() == e.origin) {
			e.answer(ask.GetWorker())
		}
		return nil
	}
	counts, err := wire.DecodeRateCounts(m.Data)
	if err != nil {
		return err
	}
	if counts.GetOrigin() == e.origin {
		return nil
	}
	e.heard(counts, wire.IsRateAnswer(m.Subject), time.Now())
	return e.merge(counts)
}

func (e *Exchange) merge(counts *wire.RateCounts) error {
	e.count = e.count[:0]
	for _, c := range counts.GetCounts() {
		s := rates.Share{Key: rates.Key(c.GetKey()), Reset: c.GetResetMs(), Calls: int64(c.GetCount()), Origin: c.GetOrigin(), Seq: c.GetSeq()} //nolint:gosec // negative ones are passed over
		if s.Origin == 0 {
			s.Origin, s.Seq = counts.GetOrigin(), counts.GetSeq()
		}
		e.count = append(e.count, s)
	}
	if n := e.table.Merge(e.origin, e.count); n > 0 {
		return fmt.Errorf("%d counts of other workers: %w", n, rates.ErrFull)
	}
	return nil
}

// heard notes that a run spoke, and asks it where something of it was missed. What was missed stays missed until an answer
// came whole, so a question or an answer that is lost is put again.
func (e *Exchange) heard(m *wire.RateCounts, answer bool, now time.Time) {
	p := e.runs[m.GetOrigin()]
	if p == nil {
		if len(e.runs) >= maxRuns {
			return
		}
		p = &peer{asked: e.askedAll, expect: -1}
		e.runs[m.GetOrigin()] = p
		e.share()
	}
	p.heard = now
	if answer {
		p.answered(m)
		return
	}
	e.late(now.UnixMicro() - m.GetDueUs())
	switch seq := m.GetSeq(); {
	case seq <= p.seq:
	case seq == p.seq+1:
		p.seq = seq
	case now.Sub(p.asked) >= askAgain:
		p.asked = now
		e.ask(m.GetOrigin())
	}
}

// answered notes a part of an answer. All of it in order holds everything up to its number.
func (p *peer) answered(m *wire.RateCounts) {
	left := int64(m.GetLeft())
	whole := p.expect < 0 || p.expect == left
	p.expect = left - 1
	switch {
	case !whole:
		p.expect = -1
	case left == 0:
		p.seq = max(p.seq, m.GetSeq())
	}
}

// late notes how late a count was heard of.
func (e *Exchange) late(took int64) {
	for {
		worst := e.behind.Load()
		if took <= worst || e.behind.CompareAndSwap(worst, took) {
			return
		}
	}
}

// age forgets who has been silent for long.
func (e *Exchange) age(now time.Time) {
	for origin, p := range e.runs {
		if now.Sub(p.heard) > gone {
			delete(e.runs, origin)
		}
	}
	e.share()
}

// share says how many workers share the limits.
func (e *Exchange) share() {
	e.workers.Store(int64(len(e.runs)))
	e.table.SetWorkers(len(e.runs) + 1)
}

// answer tells one worker what this one counted, and what workers counted that are gone: whoever is there speaks for himself.
func (e *Exchange) answer(to string) {
	var shares []rates.Share
	e.table.Each(func(origin uint64) bool { return e.runs[origin] == nil }, func(s rates.Share) bool {
		shares = append(shares, s)
		return true
	})
	subject := wire.RatesToSubject(to, e.worker)
	for left := max(0, len(shares)-1) / wire.MaxRateCounts; left >= 0; left-- {
		n := min(len(shares), wire.MaxRateCounts)
		e.send(subject, &wire.RateCounts{Left: uint32(left)}, shares[:n]) //nolint:gosec // few
		shares = shares[n:]
	}
}
