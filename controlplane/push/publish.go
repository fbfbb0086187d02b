package push

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// publishLoop follows the source; while this node leads it publishes the changes and heartbeats.
func (p *Pusher) publishLoop(ctx context.Context) {
	beat := time.NewTimer(0)
	defer beat.Stop()
	var led Leadership
	for {
		due := false
		select {
		case <-ctx.Done():
			return
		case <-p.src.Changed():
		case <-beat.C:
			due = true
			beat.Reset(jitter(p.cfg.Heartbeat))
			p.tracker.expire(time.Now())
		}
		lead := p.src.Leader()
		at, changes := p.index.advance(p.src)
		if _, loaded := p.index.position(); loaded && lead.Leader {
			p.pushAll(ctx, at, lead.Term, changes)
			if due || lead != led { // what the last leader did not come to publish is noticed by the digest
				p.heartbeats(ctx, lead.Term)
			}
		}
		if lead != led {
			p.log.Info("push leadership", "node", p.cfg.Node, "leader", lead.Leader, "term", lead.Term, "revision", at.Revision)
			led = lead
		}
	}
}

// pushAll publishes one step of the index. Streams are independent; within one, pushes are in revision order.
func (p *Pusher) pushAll(ctx context.Context, at wire.At, term uint64, changes map[wire.Stream]*streamChanges) {
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		msg := p.newPush(name, at, term, changes[name])
		p.publish(ctx, wire.KindPush, name, wire.RevisionSubject(name), msg)
	}
}

func (p *Pusher) newPush(name wire.Stream, at wire.At, term uint64, c *streamChanges) *wire.Push {
	_, digest, _ := p.index.summary(name)
	msg := &wire.Push{V: wire.Version, Prev: c.prev.Position(), Position: at.Position(), Term: term, Digest: digest[:]}
	slices.SortStableFunc(c.changed, func(a, b *entry) int {
		return cmp.Compare(a.deployment.GetRevision(), b.deployment.GetRevision())
	})
	var body []byte
	for rec := range (content{entries: c.changed, left: c.left}).records() {
		var err error
		if body, err = wire.AppendRecord(body, rec); err != nil || len(body) > wire.ChunkBytes {
			msg.Oversize = true // the workers ask for it, and share one encoded delta
			return msg
		}
	}
	msg.Size, msg.Body = uint32(len(body)), p.codec.Compress(body) //nolint:gosec // at most ChunkBytes
	return msg
}

// heartbeats says, for each stream that there is or that a worker follows, where it stands.
func (p *Pusher) heartbeats(ctx context.Context, term uint64) {
	names := append(p.index.names(), p.tracker.streams()...)
	names = append(names, wire.Everything, wire.Everything.Of(wire.ItemSubscription))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		at, digest, n := p.index.summary(name)
		p.publish(ctx, wire.KindHeartbeat, name, wire.HeartbeatSubject(name), &wire.Heartbeat{
			V: wire.Version, Position: at.Position(), Term: term, Digest: digest[:], Node: p.cfg.Node,
			IntervalMs: uint32(p.cfg.Heartbeat.Milliseconds()), Apis: uint32(n), //nolint:gosec // bounded by complete and MaxItems
		})
	}
}

// publish signs and sends. What is not sent is noticed by the workers at the next heartbeat that is.
func (p *Pusher) publish(ctx context.Context, kind wire.Kind, name wire.Stream, subject string, msg proto.Message) {
	b, err := p.signer.Seal(kind, name, msg)
	if err == nil {
		err = p.nc.Publish(subject, b)
	}
	p.metrics.published(ctx, kind, err)
	if err != nil {
		p.log.Debug("publish", "stream", name, "err", err)
	}
}

// jitter spreads d by 10 % either way, so that nodes and workers do not fall into step.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // not a secret
}
