package push

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// DefaultAttemptsWait is how long workers' answers are waited for.
const DefaultAttemptsWait = 2 * time.Second

// Attempt is one try of a worker to deliver to a subscriber.
type Attempt struct {
	Worker   string
	At       time.Time
	Took     time.Duration
	Message  string // its id, or where it stands
	Number   int    // 1 is the first try
	Status   int    // of the answer; 0: there was none
	Error    string
	Next     time.Time // when it is tried again; zero: it is not
	Outcome  string    // delivered, retried, dead-lettered or given-up
	Messages int
	Bytes    int
}

// requests are the questions that wait for workers' answers.
type requests struct {
	mu sync.Mutex
	// guards the following
	waiting map[string]chan *nats.Msg
}

func newRequests() *requests { return &requests{waiting: map[string]chan *nats.Msg{}} }

// open makes a question of a fresh name, to which at most n answers come.
func (r *requests) open(n int) (name string, answers chan *nats.Msg) {
	b := make([]byte, wire.NonceBytes)
	_, _ = rand.Read(b) // never fails, says its documentation
	name, answers = hex.EncodeToString(b), make(chan *nats.Msg, n)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[name] = answers
	return name, answers
}

func (r *requests) close(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, name)
}

// give hands an answer to who waits for it; others are late, and more than were asked for are dropped.
func (r *requests) give(m *nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.waiting[wire.RequestOfReply(m.Subject)] <- m:
	default:
	}
}

// replyLoop hands workers' answers on until ctx ends.
func (p *Pusher) replyLoop(ctx context.Context, replies <-chan *nats.Msg) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-replies:
			p.requests.give(m)
		}
	}
}

// Attempts asks every live worker that should serve the subscription, or where it is not served every live worker, for its
// last attempts to deliver, and returns the newest first, at most limit. Workers that did not answer within
// DefaultAttemptsWait, or until ctx ended, are named in silent.
func (p *Pusher) Attempts(ctx context.Context, id string, limit int) (all []Attempt, silent []string, err error) {
	workers := p.asked(id)
	name, answers := p.requests.open(len(workers))
	defer p.requests.close(name)
	limit = min(limit, wire.MaxAttempts)
	ask, err := wire.Encode(&wire.AttemptsAsk{V: wire.Version, SubscriptionId: id, Limit: uint32(max(limit, 0))}) //nolint:gosec // small
	if err != nil {
		return nil, nil, err
	}
	missing := make(map[string]string, len(workers)) // by the subject of the answer
	for _, w := range workers {
		reply := wire.ReplySubject(w, p.cfg.Node, name)
		missing[reply] = w
		if err := p.nc.PublishRequest(wire.AttemptsSubject(w), reply, ask); err != nil {
			return nil, nil, fmt.Errorf("ask worker %s for attempts: %w", w, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultAttemptsWait)
	defer cancel()
	for len(missing) > len(silent) {
		select {
		case <-ctx.Done():
			for _, w := range missing {
				silent = append(silent, w)
			}
			slices.Sort(silent)
			silent = slices.Compact(silent)
			return newestFirst(all, limit), silent, nil
		case m := <-answers:
			w, waited := missing[m.Subject]
			if !waited || slices.Contains(silent, w) {
				continue
			}
			if len(m.Data) == 0 && m.Header.Get("Status") == "503" { // it does not listen: an earlier version, or just gone
				silent = append(silent, w)
				continue
			}
			got, err := wire.DecodeAttemptsAnswer(m.Subject, p.cfg.Node, name, m.Data)
			if err != nil {
				p.metrics.refused(ctx, "attempts")
				p.log.Debug("refuse attempts", "subject", m.Subject, "err", err)
				continue
			}
			delete(missing, m.Subject)
			all = append(all, attempts(got)...)
		}
	}
	slices.Sort(silent)
	return newestFirst(all, limit), silent, nil
}

// asked lists the workers that may know of attempts.
func (p *Pusher) asked(id string) (out []string) {
	t := p.index.target(Key{Item: wire.ItemSubscription, ID: id})
	for _, w := range p.tracker.view(time.Now()).live {
		if t.removed || t.concerns(w) {
			out = append(out, w.Name)
		}
	}
	return out
}

func attempts(m *wire.AttemptsAnswer) []Attempt {
	out := make([]Attempt, 0, len(m.GetAttempts()))
	for _, a := range m.GetAttempts() {
		one := Attempt{
			Worker: m.GetWorker(), At: time.UnixMilli(a.GetAtMs()).UTC(), Took: time.Duration(a.GetTookUs()) * time.Microsecond,
			Message: a.GetMessage(), Number: int(a.GetNumber()), Status: int(a.GetStatus()), Error: a.GetError(), Outcome: a.GetOutcome(),
			Messages: int(a.GetMessages()), Bytes: int(a.GetBytes()), //nolint:gosec // a request's body is far below 2^63
		}
		if ms := a.GetNextMs(); ms != 0 {
			one.Next = time.UnixMilli(ms).UTC()
		}
		out = append(out, one)
	}
	return out
}

func newestFirst(all []Attempt, limit int) []Attempt {
	slices.SortStableFunc(all, func(a, b Attempt) int { return b.At.Compare(a.At) })
	if limit > 0 && len(all) > limit {
		return all[:limit]
	}
	return all
}
