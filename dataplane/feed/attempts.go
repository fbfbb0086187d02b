package feed

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// answerLoop answers questions for attempts until ctx ends.
func (f *Feed) answerLoop(ctx context.Context, nc *nats.Conn, asks <-chan *nats.Msg) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-asks:
			if err := f.answer(nc, m); err != nil {
				f.log.Debug("answer a question for attempts", "worker", f.cfg.Worker, "err", err)
			}
		}
	}
}

func (f *Feed) answer(nc *nats.Conn, m *nats.Msg) error {
	ask, err := wire.DecodeAttemptsAsk(m.Data)
	if err != nil {
		return err
	}
	if !wire.IsReply(m.Reply, f.cfg.Worker) {
		return wire.ErrMalformed
	}
	limit := int(min(ask.GetLimit(), wire.MaxAttempts))
	if limit == 0 {
		limit = wire.MaxAttempts
	}
	b, err := wire.Encode(&wire.AttemptsAnswer{
		V: wire.Version, Worker: f.cfg.Worker, SubscriptionId: ask.GetSubscriptionId(),
		Attempts: newest(f.cfg.Subscriptions.Attempts(ask.GetSubscriptionId()), limit),
	})
	if err != nil {
		return err
	}
	return nc.Publish(m.Reply, b)
}

// newest gives at most limit of the attempts, the last first.
func newest(all []connectors.Attempt, limit int) []*wire.Attempt {
	out := make([]*wire.Attempt, 0, min(len(all), limit))
	for i := len(all) - 1; i >= 0 && len(out) < limit; i-- {
		a := all[i]
		out = append(out, &wire.Attempt{
			AtMs: a.At.UnixMilli(), TookUs: a.Took.Microseconds(), Message: clip(a.Message, wire.MaxErrorBytes),
			Number: uint32(max(a.Number, 0)), Status: uint32(max(a.Status, 0)), Error: clip(a.Err, wire.MaxErrorBytes), //nolint:gosec // small
			NextMs: millis(a.Next), Outcome: a.Outcome.String(), Messages: uint32(max(a.Messages, 0)), Bytes: uint64(max(a.Bytes, 0)), //nolint:gosec // not negative
		})
	}
	return out
}

// millis is a time in milliseconds since 1970, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
