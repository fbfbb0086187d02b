package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/qos/message"
)

// gap is the content of a Gap message: what a subscriber does not get, and why.
type gap struct {
	Lost   int64       `json:"lost,omitempty"` // messages, or offsets where only those are known; absent: unknown
	Reason string      `json:"reason"`
	Ranges []lostRange `json:"partitions,omitempty"`
}

// lostRange is what is missing of one partition: offsets from First up to, not including, Next.
type lostRange struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	First     int64  `json:"first"`
	Next      int64  `json:"next"`
}

// Reasons of gaps. Clients read them; they never change meaning.
const (
	reasonSlow      = "slow-client" // under none: the subscriber was overtaken by the ring's end
	reasonRetention = "retention"   // the log no longer reaches back to the position
	reasonBeyond    = "beyond-end"  // the log ends before the position: it was truncated, or the topic made anew
	reasonRecreated = "topic-recreated"
	reasonReserved  = "reserved"        // under at-most-once: reserved by who lost its membership, or ended, and may not have handed it out
	reasonTooLarge  = "batch-too-large" // a compressed batch that would not fit in memory
)

func gapMessage(g gap) message.Message {
	if g.Lost == 0 {
		for _, r := range g.Ranges {
			g.Lost += max(r.Next-r.First, 0)
		}
	}
	return message.Event(message.Gap, g)
}

// repair makes the chain go on after a fetch error that franz-go leaves to us, and puts a gap where messages were lost. It
// tells whether positions went back: then the messages after the gap compare with none before it.
func (c *chain) repair(ctx context.Context, f *feed, cl *kgo.Client, e kgo.FetchError) (back bool) {
	at := place{e.Topic, e.Partition}
	part := c.lay.number(at.topic, at.partition)
	if part < 0 || errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, kgo.ErrClientClosed) {
		return false
	}
	var lost *kgo.ErrDataLoss
	var large *kgo.ErrDecompressTooLarge
	switch {
	case errors.As(e.Err, &lost): // franz-go has gone back by itself
		back = lost.ResetTo < c.vec.at(int(part))
		c.moveTo(part, at, lost.ResetTo, gap{Reason: reasonBeyond})
		return back
	case errors.As(e.Err, &large):
		c.moveTo(part, at, large.NextOffset, gap{Reason: reasonTooLarge})
		setOffset(cl, at, large.NextOffset)
	case errors.Is(e.Err, kerr.OffsetOutOfRange):
		return c.outOfRange(ctx, f, cl, part, at)
	case errors.Is(e.Err, kerr.UnknownTopicID):
		return c.recreated(ctx, f, cl, at.topic)
	default:
		f.e.lost.Warn(f.e.log, "fetch", "topic", e.Topic, "partition", e.Partition, "err", e.Err)
	}
	return false
}

// outOfRange: the log does not have the position. What it still has is read, from its start.
func (c *chain) outOfRange(ctx context.Context, f *feed, cl *kgo.Client, part int32, at place) (back bool) {
	starts, err := f.control.starts(ctx, []string{at.topic})
	ends, err2 := f.control.ends(ctx, []string{at.topic})
	position := c.vec.at(int(part))
	start, ok := starts.find(at)
	end, ok2 := ends.find(at)
	switch {
	case errors.Join(err, err2) != nil || !ok || !ok2:
		setOffset(cl, at, position) // asks again
	case position < start:
		c.moveTo(part, at, start, gap{Reason: reasonRetention})
		setOffset(cl, at, start)
	case position > end:
		c.moveTo(part, at, start, gap{Reason: reasonBeyond})
		setOffset(cl, at, start)
		return true
	default: // it is in range by now
		setOffset(cl, at, position)
	}
	return false
}

// recreated: franz-go never takes up a topic that was deleted and made again until told so.
func (c *chain) recreated(ctx context.Context, f *feed, cl *kgo.Client, topic string) bool {
	starts, err := f.control.starts(ctx, []string{topic})
	if err != nil || len(starts.missing) > 0 {
		return false // the error comes again
	}
	cl.PurgeTopicsFromConsuming(topic)
	from := map[int32]kgo.Offset{}
	for i, p := range c.lay.places {
		start, ok := starts.find(p)
		if p.topic != topic || !ok || c.vec.at(i) == elsewhere {
			continue
		}
		c.vec = c.vec.set(i, start)
		from[p.partition] = kgo.NewOffset().At(start)
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	c.event(gapMessage(gap{Reason: reasonRecreated, Ranges: []lostRange{{Topic: topic, Partition: -1}}}))
	f.e.stats.gaps.Add(1)
	return true
}

// moveTo sets a position and says what that skips.
func (c *chain) moveTo(part int32, at place, next int64, g gap) {
	g.Ranges = []lostRange{{Topic: at.topic, Partition: at.partition, First: c.vec.at(int(part)), Next: next}}
	c.vec = c.vec.set(int(part), next)
	c.event(gapMessage(g))
}

func setOffset(cl *kgo.Client, at place, offset int64) {
	cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{at.topic: {at.partition: {Epoch: -1, Offset: offset}}})
}
