package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// Reasons why a message is refused or a stream asks. They are on the metrics and in the worker's status.
var (
	errGap       = errors.New("a push was missed")
	errOversize  = errors.New("changes too large for one message")
	errDigest    = errors.New("digest differs from what the control plane promised")
	errBackwards = errors.New("older than what is served: a replay, or a control plane that lost its history")
	errQuiet     = errors.New("no heartbeat")
	errResume    = errors.New("connection restored")
	errStart     = errors.New("first snapshot")
)

// follower follows one stream. One goroutine runs it; everything below is that goroutine's own.
type follower struct {
	feed   *Feed
	stream wire.Stream
	log    *slog.Logger
	msgs   chan *nats.Msg
	woken  chan struct{} // one value: the connection came up
	nc     *nats.Conn

	st       *state
	need     *need // nil while nothing is to be asked
	attempts int   // asks in a row that brought nothing
	term     uint64
	quiet    time.Duration // without a heartbeat for so long, ask
}

// need is a question to put.
type need struct {
	why     error
	mode    wire.AskMode
	atLeast wire.At
	due     time.Time
}

func newFollower(f *Feed, name wire.Stream) *follower {
	return &follower{
		feed: f, stream: name, log: f.log.With("worker", f.cfg.Worker, "stream", string(name)),
		msgs: make(chan *nats.Msg, streamMessages), woken: make(chan struct{}, 1),
		st: f.store.streams[name], quiet: time.Minute,
	}
}

// wake has the follower ask whether it missed something.
func (fl *follower) wake() {
	select {
	case fl.woken <- struct{}{}:
	default: // told already
	}
}

// subscribe has pushes and heartbeats put into one channel, so that they stay in the order they were sent in.
func (fl *follower) subscribe(nc *nats.Conn) error {
	fl.nc = nc
	for _, subject := range []string{wire.RevisionSubject(fl.stream), wire.HeartbeatSubject(fl.stream)} {
		if _, err := nc.ChanSubscribe(subject, fl.msgs); err != nil {
			return fmt.Errorf("feed: subscribe to %s: %w", subject, err)
		}
	}
	return nil
}

func (fl *follower) run(ctx context.Context) {
	fl.want(errStart, wire.AskMode_ASK_MODE_AUTO, wire.At{}, 0)
	quiet := time.NewTimer(fl.quiet)
	defer quiet.Stop()
	for {
		var due <-chan time.Time
		if fl.need != nil {
			due = time.After(time.Until(fl.need.due))
		}
		select {
		case <-ctx.Done():
			return
		case m := <-fl.msgs:
			if fl.take(ctx, m) {
				quiet.Reset(fl.quiet)
			}
		case <-fl.woken:
			if fl.st.complete {
				fl.want(errResume, wire.AskMode_ASK_MODE_AUTO, fl.st.at, rand.N(fl.feed.cfg.Spread)) //nolint:gosec // not a secret
			} else if fl.need != nil {
				fl.need.due, fl.attempts = time.Now(), 0 // at start nothing is served: do not wait
			}
		case <-quiet.C:
			fl.want(errQuiet, wire.AskMode_ASK_MODE_AUTO, fl.st.at, jitter(fl.quiet))
			quiet.Reset(fl.quiet)
		case <-due:
			fl.ask(ctx)
		}
	}
}

// want notes that the control plane is to be asked after wait. What is wanted already is not put off, nor is it hurried:
// a flood of bad messages does not become a flood of questions.
func (fl *follower) want(why error, mode wire.AskMode, atLeast wire.At, wait time.Duration) {
	if fl.need != nil {
		if fl.need.atLeast.Before(atLeast) {
			fl.need.atLeast = atLeast
		}
		return
	}
	fl.need = &need{why: why, mode: mode, atLeast: atLeast, due: time.Now().Add(wait)}
}

// satisfied drops the need if the stream has reached what was needed.
func (fl *follower) satisfied() {
	if fl.need != nil && !fl.st.at.Before(fl.need.atLeast) {
		fl.need = nil
	}
	fl.attempts = 0
	fl.feed.reporter.fault(fl.stream, nil)
}

// take takes a push or a heartbeat; it tells whether it was good.
func (fl *follower) take(ctx context.Context, m *nats.Msg) bool {
	var err error
	if strings.HasSuffix(m.Subject, ".rev") {
		err = fl.push(ctx, m.Data)
	} else {
		err = fl.heartbeat(m.Data)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, errBackwards):
		fl.feed.metrics.refused(ctx, "backwards") // a late or repeated message is normal: nothing to ask
		return false
	case errors.Is(err, errGap), errors.Is(err, errOversize):
		return true
	}
	fl.refuse(ctx, err)
	return false
}

// refuse counts a message that cannot be trusted, and asks with back-off.
func (fl *follower) refuse(ctx context.Context, err error) {
	fl.feed.metrics.refused(ctx, reason(err))
	fl.feed.reporter.refused(fl.stream, err)
	fl.log.Warn("message refused, serving on", "revision", fl.st.at.Revision, "err", err)
	fl.attempts++
	fl.want(err, wire.AskMode_ASK_MODE_AUTO, fl.st.at, fl.feed.backOff(fl.attempts))
}

func (fl *follower) push(ctx context.Context, data []byte) error {
	p, err := fl.feed.verifier.OpenPush(fl.stream, data)
	if err != nil {
		return err
	}
	at, prev := p.GetPosition().At(), p.GetPrev().At()
	fl.newTerm(p.GetTerm())
	switch {
	case !fl.st.complete:
		fl.needAtLeast(at)
		return nil
	case at.Compare(fl.st.at) <= 0:
		return errBackwards
	case fl.st.at.Before(prev):
		fl.want(errGap, wire.AskMode_ASK_MODE_AUTO, at, 0)
		return errGap
	case p.GetOversize():
		fl.want(errOversize, wire.AskMode_ASK_MODE_AUTO, at, 0)
		return errOversize
	}
	raw, err := fl.feed.codec.Decompress(p.GetBody(), p.GetSize())
	if err != nil {
		return fmt.Errorf("read push: %w", err)
	}
	var recs wire.Records
	c := changeOf(fl.st)
	if err := errors.Join(recs.Read(raw, c.record), recs.Close()); err != nil {
		return fmt.Errorf("read push: %w", err)
	}
	if c.digest != wire.DigestOf(p.GetDigest()) {
		return fmt.Errorf("push %s: %w", at, errDigest)
	}
	fl.feed.metrics.received(ctx, len(data))
	fl.feed.store.commit(fl.st, c, at)
	fl.satisfied()
	return nil
}

func (fl *follower) heartbeat(data []byte) error {
	h, err := fl.feed.verifier.OpenHeartbeat(fl.stream, data)
	if err != nil {
		return err
	}
	at := h.GetPosition().At()
	fl.newTerm(h.GetTerm())
	if h.GetIntervalMs() > 0 {
		fl.quiet = quietBeats * time.Duration(h.GetIntervalMs()) * time.Millisecond
	}
	switch {
	case !fl.st.complete:
		fl.needAtLeast(at)
		return nil
	case at.Before(fl.st.at):
		return errBackwards
	case wire.DigestOf(h.GetDigest()) != fl.st.digest:
		fl.want(errGap, wire.AskMode_ASK_MODE_AUTO, at, 0)
		return errGap
	}
	if fl.st.at.Before(at) { // nothing of this stream changed in between
		c := changeOf(fl.st)
		fl.feed.store.commit(fl.st, c, at)
	}
	fl.satisfied()
	return nil
}

// needAtLeast raises what a first snapshot has to hold.
func (fl *follower) needAtLeast(at wire.At) {
	if fl.need != nil && fl.need.atLeast.Before(at) {
		fl.need.atLeast = at
	}
}

// newTerm notes a change of leader. The new one's first heartbeat, which is sent at once, carries the digest that tells
// whether anything was lost with the old one.
func (fl *follower) newTerm(term uint64) {
	if term > fl.term {
		fl.log.Debug("new leader", "term", term)
		fl.term = term
	}
}

// reason is the bounded set of names that a refusal has on a metric.
func reason(err error) string {
	for _, r := range []struct {
		err  error
		name string
	}{
		{wire.ErrSignature, "signature"}, {wire.ErrUnknownKey, "key"}, {wire.ErrVersion, "version"},
		{wire.ErrTooLarge, "size"}, {errDigest, "digest"}, {errBackwards, "backwards"},
	} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "malformed"
}
