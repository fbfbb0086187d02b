package feed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// retryError is an answer that says to come back.
type retryError struct {
	why  string
	wait time.Duration
}

func (e *retryError) Error() string { return "control plane is " + e.why }

// ask puts the needed question once; a failure is put again after a back-off, with more suspicion when the answer did
// not give its digest.
func (fl *follower) ask(ctx context.Context) {
	n := *fl.need
	fl.log.Debug("ask the control plane", "revision", fl.st.at.Revision, "mode", n.mode.String(), "why", n.why)
	latest, err := fl.sync(ctx, n)
	var later *retryError
	switch {
	case err == nil:
		fl.feed.metrics.synced(ctx, "ok")
		fl.need, fl.attempts = nil, 0
		fl.feed.reporter.fault(fl.stream, nil)
		if fl.st.at.Before(latest) { // a shared snapshot was a little old
			fl.want(errGap, wire.AskMode_ASK_MODE_AUTO, latest, 0)
		}
		return
	case ctx.Err() != nil:
		return
	case errors.As(err, &later):
		fl.feed.metrics.synced(ctx, later.why)
		fl.need.due = time.Now().Add(later.wait)
		return
	}
	fl.attempts++
	wait := fl.feed.backOff(fl.attempts)
	outcome := "failed"
	if refusal(err) {
		outcome = "refused"
		fl.feed.metrics.refused(ctx, reason(err))
		fl.feed.reporter.refused(fl.stream, err)
	}
	if errors.Is(err, errDigest) {
		fl.need.mode = min(n.mode+1, wire.AskMode_ASK_MODE_FULL)
	}
	fl.feed.metrics.synced(ctx, outcome)
	fl.feed.reporter.fault(fl.stream, err)
	fl.need.due = time.Now().Add(wait)
	if fl.attempts == 1 || outcome == "refused" {
		fl.log.Warn("definitions are not up to date, serving on", "revision", fl.st.at.Revision, "err", err, "retry", wait.String())
	}
}

// refusal tells an answer that cannot be trusted from one that did not come.
func refusal(err error) bool {
	for _, r := range []error{
		wire.ErrSignature, wire.ErrUnknownKey, wire.ErrVersion, wire.ErrTooLarge, wire.ErrMalformed, wire.ErrTruncated,
		errDigest, errBackwards,
	} {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}

// sync asks, fetches and commits. It returns the position that the control plane had reached then.
func (fl *follower) sync(ctx context.Context, n need) (latest wire.At, err error) {
	ask := &wire.Ask{AtLeast: later(n.atLeast, fl.st.at).Position(), Mode: n.mode}
	if fl.st.complete {
		ask.Have, ask.Digest = fl.st.at.Position(), fl.st.digest[:]
	}
	ans, err := fl.request(ctx, ask)
	if err != nil {
		return wire.At{}, err
	}
	latest = ans.GetLatest().At()
	var c *change
	switch ans.GetKind() {
	case wire.AnswerKind_ANSWER_KIND_CURRENT:
		c = changeOf(fl.st)
	case wire.AnswerKind_ANSWER_KIND_DELTA:
		c, err = fl.delta(ctx, ans, changeOf(fl.st), fl.st.at)
	case wire.AnswerKind_ANSWER_KIND_FULL:
		c = replacement()
		err = fl.fetch(ctx, ans, c.record)
	case wire.AnswerKind_ANSWER_KIND_MANIFEST:
		ans, c, err = fl.manifest(ctx, ans)
	default:
		err = fmt.Errorf("%w: answer of an unknown kind", wire.ErrMalformed)
	}
	if err != nil {
		return latest, err
	}
	at := ans.GetPosition().At()
	if c.digest != wire.DigestOf(ans.GetDigest()) {
		return latest, fmt.Errorf("answer at %s: %w", at, errDigest)
	}
	if fl.st.complete && at.Before(fl.st.at) {
		return latest, fmt.Errorf("answer at %s: %w", at, errBackwards)
	}
	fl.feed.store.commit(fl.st, c, at)
	return latest, nil
}

// delta reads changes on top of c, which is at have.
func (fl *follower) delta(ctx context.Context, ans *wire.Answer, c *change, have wire.At) (*change, error) {
	if ans.GetPrev().At() != have {
		return nil, fmt.Errorf("%w: a delta from %s for %s", wire.ErrMalformed, ans.GetPrev().At(), have)
	}
	return c, fl.fetch(ctx, ans, c.record)
}

// manifest reads the list of everything, keeps what is held of it, and asks for the rest, which comes with what has
// changed since the list was made.
func (fl *follower) manifest(ctx context.Context, ans *wire.Answer) (*wire.Answer, *change, error) {
	c := replacement()
	var want []string
	err := fl.fetch(ctx, ans, func(r *wire.Record) error {
		e := r.GetEntry()
		if e == nil {
			return wire.ErrMalformed
		}
		h := fl.st.entries[e.GetApiId()]
		if h != nil && h.deployment.GetRevision() == e.GetRevision() && h.definition == wire.DigestOf(e.GetDefinitionDigest()) {
			c.put(h)
		} else {
			want = append(want, e.GetApiId())
		}
		return nil
	})
	if err != nil || len(want) == 0 {
		return ans, c, err
	}
	at := ans.GetPosition().At()
	ask := &wire.Ask{AtLeast: at.Position(), Have: at.Position(), Want: want}
	if len(want) > wire.MaxWant {
		ask = &wire.Ask{AtLeast: at.Position(), Mode: wire.AskMode_ASK_MODE_FULL}
		c = replacement()
	}
	ans, err = fl.request(ctx, ask)
	if err != nil {
		return nil, nil, err
	}
	switch ans.GetKind() {
	case wire.AnswerKind_ANSWER_KIND_FULL:
		return ans, c, fl.fetch(ctx, ans, c.record)
	case wire.AnswerKind_ANSWER_KIND_DELTA:
		c, err = fl.delta(ctx, ans, c, at)
		return ans, c, err
	}
	return nil, nil, &retryError{why: "ahead of its own list", wait: jitter(backOffMin)} // another node, just started
}

func later(a, b wire.At) wire.At {
	if a.Before(b) {
		return b
	}
	return a
}

// request sends one ask and returns its answer, or a retryError.
func (fl *follower) request(ctx context.Context, ask *wire.Ask) (*wire.Answer, error) {
	nonce := make([]byte, wire.NonceBytes)
	_, _ = rand.Read(nonce) // never fails, says its documentation
	ask.V, ask.Worker, ask.Nonce = wire.Version, fl.feed.cfg.Worker, nonce
	b, err := wire.Encode(ask)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fl.feed.cfg.RequestTimeout)
	defer cancel()
	m, err := fl.nc.RequestWithContext(ctx, wire.AskSubject(fl.stream), b)
	if err != nil {
		return nil, fmt.Errorf("ask the control plane: %w", err)
	}
	ans, err := fl.feed.verifier.OpenAnswer(fl.stream, nonce, m.Data)
	if err != nil {
		return nil, err
	}
	wait := time.Duration(ans.GetRetryMs()) * time.Millisecond
	switch ans.GetKind() {
	case wire.AnswerKind_ANSWER_KIND_BEHIND:
		return nil, &retryError{why: "behind", wait: wait}
	case wire.AnswerKind_ANSWER_KIND_BUSY:
		return nil, &retryError{why: "busy", wait: wait}
	}
	return ans, nil
}

// fetch reads the body of an answer and calls fn with each record, in order.
func (fl *follower) fetch(ctx context.Context, ans *wire.Answer, fn func(*wire.Record) error) error {
	var recs wire.Records
	read := func(ch *wire.Chunk) error {
		raw, err := fl.feed.codec.Decompress(ch.GetBody(), ch.GetSize())
		if err != nil {
			return err
		}
		fl.feed.metrics.received(ctx, len(ch.GetBody()))
		return recs.Read(raw, fn)
	}
	var err error
	if ans.GetFirst() != nil {
		err = read(ans.GetFirst())
	} else {
		err = fl.chunks(ctx, ans, read)
	}
	if err != nil {
		return fmt.Errorf("fetch definitions: %w", err)
	}
	return recs.Close()
}

// chunks asks for the chunks of a transfer, a window of them ahead, and calls read with each in order. The worker sets
// the pace: a chunk is sent only when it was asked for.
func (fl *follower) chunks(ctx context.Context, ans *wire.Answer, read func(*wire.Chunk) error) error {
	inbox := fl.nc.NewRespInbox()
	sub, err := fl.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closed already
	early := map[uint32]*wire.Chunk{}
	asked := uint32(0)
	for next := range ans.GetChunks() {
		for ; asked < min(ans.GetChunks(), next+chunkWindow); asked++ {
			if err := fl.askChunk(ans, asked, inbox); err != nil {
				return err
			}
		}
		for early[next] == nil {
			ch, err := fl.nextChunk(ctx, sub, ans)
			if err != nil {
				return err
			}
			if ch.GetIndex() < next || ch.GetIndex() >= asked || early[ch.GetIndex()] != nil {
				continue // repeated on the way
			}
			early[ch.GetIndex()] = ch
		}
		if err := read(early[next]); err != nil {
			return err
		}
		delete(early, next)
	}
	return nil
}

func (fl *follower) askChunk(ans *wire.Answer, i uint32, inbox string) error {
	b, err := wire.Encode(&wire.ChunkAsk{V: wire.Version, Worker: fl.feed.cfg.Worker, Transfer: ans.GetTransfer(), Index: i})
	if err != nil {
		return err
	}
	return fl.nc.PublishRequest(wire.ChunkSubject(fl.stream, ans.GetNode()), inbox, b)
}

func (fl *follower) nextChunk(ctx context.Context, sub *nats.Subscription, ans *wire.Answer) (*wire.Chunk, error) {
	ctx, cancel := context.WithTimeout(ctx, fl.feed.cfg.RequestTimeout)
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return nil, err
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" { // nobody listens: the node has gone
		return nil, nats.ErrNoResponders
	}
	ch, err := fl.feed.verifier.OpenChunk(fl.stream, ans.GetTransfer(), m.Data)
	if err != nil {
		return nil, err
	}
	if ch.GetGone() {
		return nil, &retryError{why: "without the snapshot any more", wait: jitter(backOffMin)}
	}
	return ch, nil
}
