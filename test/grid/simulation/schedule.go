package simulation

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
)

// Mutation is one way to break the contract.
type Mutation string

// Mutations; none is "".
const (
	CommitBeforeProof   Mutation = "at-least-once: a checkpoint follows the write, not the proof of receipt"
	DeliverBeforeCommit Mutation = "at-most-once: a message is handed out before its checkpoint is saved"
	AdvanceOverHole     Mutation = "at-least-once: a checkpoint follows the highest ack, over those that are missing"
	DropGap             Mutation = "a gap is not announced"
	IgnoreFence         Mutation = "a member that was expelled may still save checkpoints"
	ResumeTooFar        Mutation = "a cursor is taken for the next message instead of the last"
	RepeatOne           Mutation = "at-most-once: a takeover begins one message below the checkpoint"
	SwapTwo             Mutation = "two messages of a partition are handed out in the wrong order"
	SkipSlow            Mutation = "a slow client is skipped instead of waited for"
	CommitPolled        Mutation = "auto: a checkpoint follows what was polled, not what was written"
	LoseFramed          Mutation = "a message is left out of what is written"
	RangesAsPosition    Mutation = "sparse acks are taken for a position"
	ProveNewest         Mutation = "a proof counts for the newest of two deliveries of a message"
)

// Proof is how a client proves receipt.
type Proof int

// Proofs.
const (
	ByTCP   Proof = iota // its kernel acknowledges the bytes
	ByOrder              // it acknowledges each message, in any order (webhook, sluice.v1)
)

// Schedule is one simulation.
type Schedule struct {
	Seed      uint64
	Level     qos.Level
	Proof     Proof // under at-least-once
	Members   bool  // a second client of the same identity comes and goes
	Retention bool  // the log forgets its oldest messages
	Cursors   bool  // under auto: the client sends its resume point; else the saved one counts
	Mutation  Mutation
}

// String names the schedule as failures do.
func (s Schedule) String() string {
	return fmt.Sprintf("seed %d, %s, proof %d, members %t, retention %t, cursors %t, mutation %q", s.Seed, s.Level, s.Proof, s.Members, s.Retention, s.Cursors, s.Mutation)
}

// Random draws a schedule of a level.
func Random(seed uint64, level qos.Level) Schedule {
	r := rand.New(rand.NewPCG(seed, 1))
	s := Schedule{Seed: seed, Level: level, Proof: Proof(r.IntN(2)), Retention: r.IntN(3) == 0, Cursors: r.IntN(2) == 0}
	s.Members = r.IntN(2) == 0 && (level == qos.AtMostOnce || level == qos.AtLeastOnce)
	return s
}

// Shape of a schedule.
const (
	partitions = 3
	messages   = 150
	span       = 3 * time.Second // in which they are written; faults come in it too
	settleIn   = 5 * time.Minute // for what is still to come after it
	padding    = 3 << 10         // bytes of a message, so that a write holds few
	topicName  = "topic"
)

// history collects what happened.
type history struct {
	mu     sync.Mutex // guards the following
	told   []judge.Event
	events []judge.Event
	last   time.Time // when something arrived
}

func (h *history) arrived() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = time.Now()
}

func (h *history) lastArrival() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

func (h *history) add(e judge.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Kind < judge.Subscribed {
		h.told = append(h.told, e)
		return
	}
	h.events = append(h.events, e)
}

// verdict judges. Places are told first, see grid.Judge.
func (h *history) verdict() (*judge.Verdict, error) {
	j := judge.New()
	for _, list := range [][]judge.Event{h.told, h.events} {
		for i := range list {
			if err := j.Add(&list[i]); err != nil {
				return nil, err
			}
		}
	}
	return j.Verdict(), nil
}

// random gives an actor its own chance.
func (s Schedule) random(actor uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, 2+actor)) }

// moment is a random time up to most.
func moment(r *rand.Rand, most time.Duration) time.Duration {
	return 1 + time.Duration(r.Int64N(int64(most)))
}
