package push

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// Times told to a worker that has to come back.
const (
	retryBehind = 50 * time.Millisecond  // a follower is behind by a raft heartbeat at most
	retryBusy   = 100 * time.Millisecond // a transfer of 10,000 APIs takes about this long on a local network
	slotIdle    = 10 * time.Second       // a transfer that asked for no chunk this long was given up
)

// answerLoop answers asks and chunk asks until ctx ends. Several run.
func (p *Pusher) answerLoop(ctx context.Context, asks, chunks <-chan *nats.Msg) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-chunks:
			p.answerChunk(ctx, m)
		case m := <-asks:
			p.answerAsk(ctx, m)
		}
	}
}

func (p *Pusher) answerAsk(ctx context.Context, m *nats.Msg) {
	ask, err := wire.DecodeAsk(m.Data)
	name, ok := wire.StreamOfSubject(m.Subject)
	if err != nil || !ok || !wire.IsInbox(m.Reply, ask.GetWorker()) {
		p.metrics.refused(ctx, "ask")
		p.log.Debug("refuse ask", "subject", m.Subject, "err", err)
		return
	}
	ans, err := p.answer(name, ask)
	if err != nil { // the asker comes back by itself
		p.log.Warn("answer ask", "stream", name, "worker", ask.GetWorker(), "err", err)
		return
	}
	ans.V, ans.Nonce, ans.Node = wire.Version, ask.GetNonce(), p.cfg.Node
	p.metrics.answered(ctx, ans.GetKind())
	p.publish(ctx, wire.KindAnswer, name, m.Reply, ans)
}

// answer says what the asker lacks: nothing, the changes since its position, the list of everything, or everything.
func (p *Pusher) answer(name wire.Stream, ask *wire.Ask) (*wire.Answer, error) {
	at, digest, _ := p.index.summary(name)
	_, loaded := p.index.position()
	have := ask.GetHave().At()
	nothing := len(ask.GetDigest()) == 0 && len(ask.GetWant()) == 0
	switch {
	case !loaded, at.Before(ask.GetAtLeast().At()):
		return &wire.Answer{Kind: wire.AnswerKind_ANSWER_KIND_BEHIND, Latest: at.Position(), RetryMs: spread(retryBehind)}, nil
	case nothing, ask.GetMode() == wire.AskMode_ASK_MODE_FULL:
		return p.shared(name, ask, wire.AnswerKind_ANSWER_KIND_FULL)
	case ask.GetMode() == wire.AskMode_ASK_MODE_MANIFEST:
		return p.shared(name, ask, wire.AnswerKind_ANSWER_KIND_MANIFEST)
	case len(ask.GetWant()) == 0 && wire.DigestOf(ask.GetDigest()) == digest:
		return &wire.Answer{
			Kind: wire.AnswerKind_ANSWER_KIND_CURRENT, Position: at.Position(), Latest: at.Position(), Digest: digest[:],
		}, nil
	case len(ask.GetWant()) == 0 && have.Compare(at) >= 0: // the same position and another digest: a delta is empty
		return p.shared(name, ask, wire.AnswerKind_ANSWER_KIND_MANIFEST)
	}
	c, ok := p.index.since(name, have, ask.GetWant())
	if !ok {
		return p.shared(name, ask, wire.AnswerKind_ANSWER_KIND_MANIFEST)
	}
	return p.delta(name, ask, have, c)
}

// shared answers with a full body or a manifest, one for all who ask within BodyReuse.
func (p *Pusher) shared(name wire.Stream, ask *wire.Ask, kind wire.AnswerKind) (*wire.Answer, error) {
	atLeast := ask.GetAtLeast().At()
	now, _, _ := p.index.summary(name)
	fresh := func(b *body) bool {
		return !b.at.Before(atLeast) && (b.at == now || time.Since(b.built) < p.cfg.BodyReuse)
	}
	b, err := p.bodies.get(bodyKey{stream: name, kind: kind}, fresh, func() (*body, error) {
		c := p.index.full(name)
		if kind == wire.AnswerKind_ANSWER_KIND_MANIFEST {
			return p.encode(name, kind, c, c.manifest())
		}
		return p.encode(name, kind, c, c.records())
	})
	if err != nil {
		return nil, err
	}
	return p.withBody(name, ask, b, wire.At{}), nil
}

func (p *Pusher) delta(name wire.Stream, ask *wire.Ask, have wire.At, c content) (*wire.Answer, error) {
	kind := wire.AnswerKind_ANSWER_KIND_DELTA
	encode := func() (*body, error) { return p.encode(name, kind, c, c.records()) }
	if len(ask.GetWant()) > 0 {
		b, err := encode()
		if err != nil {
			return nil, err
		}
		p.bodies.add(b)
		return p.withBody(name, ask, b, have), nil
	}
	b, err := p.bodies.get(bodyKey{stream: name, kind: kind, have: have, at: c.at}, func(*body) bool { return true }, encode)
	if err != nil {
		return nil, err
	}
	return p.withBody(name, ask, b, have), nil
}

// withBody is the answer that brings b, or says that the node is busy: transfers of several chunks take a slot.
func (p *Pusher) withBody(name wire.Stream, ask *wire.Ask, b *body, prev wire.At) *wire.Answer {
	latest, _, _ := p.index.summary(name)
	if b.chunks != nil && !p.slots.take(ask.GetWorker(), name, time.Now()) {
		return &wire.Answer{Kind: wire.AnswerKind_ANSWER_KIND_BUSY, Latest: latest.Position(), RetryMs: spread(retryBusy)}
	}
	ans := &wire.Answer{
		Kind: b.kind, Position: b.at.Position(), Digest: b.digest[:], Prev: prev.Position(), Latest: latest.Position(),
		Size: b.size, Records: b.records, First: b.first, Chunks: 1,
	}
	if b.chunks != nil {
		ans.Transfer, ans.Chunks = b.transfer[:], uint32(len(b.chunks)) //nolint:gosec // bounded by MaxBodyBytes
	}
	return ans
}

func (p *Pusher) answerChunk(ctx context.Context, m *nats.Msg) {
	ask, err := wire.DecodeChunkAsk(m.Data)
	name, ok := wire.StreamOfSubject(m.Subject)
	if err != nil || !ok || !wire.IsInbox(m.Reply, ask.GetWorker()) {
		p.metrics.refused(ctx, "chunk")
		p.log.Debug("refuse chunk ask", "subject", m.Subject, "err", err)
		return
	}
	data, last := p.bodies.chunk(name, ask.GetTransfer(), ask.GetIndex())
	if data == nil || last {
		p.slots.release(ask.GetWorker(), name)
	} else {
		p.slots.touch(ask.GetWorker(), name, time.Now())
	}
	if data == nil {
		p.publish(ctx, wire.KindChunk, name, m.Reply, &wire.Chunk{
			V: wire.Version, Transfer: ask.GetTransfer(), Index: ask.GetIndex(), Gone: true,
		})
		return
	}
	p.metrics.sent(ctx, len(data))
	if err := p.nc.Publish(m.Reply, data); err != nil {
		p.log.Debug("send chunk", "stream", name, "worker", ask.GetWorker(), "err", err)
	}
}

// spread gives a time between d and 3d in milliseconds, so that those turned away do not come back at once.
func spread(d time.Duration) uint32 {
	return uint32((d + rand.N(2*d)).Milliseconds()) //nolint:gosec // not a secret, and small
}

// slots bounds the transfers that a node serves at once.
type slots struct {
	limit int

	mu sync.Mutex
	// guards the following
	used map[slotKey]time.Time // when it last asked for something
}

type slotKey struct {
	worker string
	stream wire.Stream
}

func newSlots(limit int) *slots { return &slots{limit: limit, used: map[slotKey]time.Time{}} }

// take gives the worker a slot, the one it has or one that is free or was given up.
func (s *slots) take(worker string, name wire.Stream, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := slotKey{worker: worker, stream: name}
	if _, has := s.used[key]; !has && len(s.used) >= s.limit {
		for k, seen := range s.used {
			if now.Sub(seen) > slotIdle {
				delete(s.used, k)
			}
		}
		if len(s.used) >= s.limit {
			return false
		}
	}
	s.used[key] = now
	return true
}

func (s *slots) touch(worker string, name wire.Stream, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, has := s.used[slotKey{worker: worker, stream: name}]; has {
		s.used[slotKey{worker: worker, stream: name}] = now
	}
}

func (s *slots) release(worker string, name wire.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.used, slotKey{worker: worker, stream: name})
}
