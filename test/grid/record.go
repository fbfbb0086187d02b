package grid

import (
	"bufio"
	"fmt"
	"os"
	"sync"

	"github.com/sluice-gateway/sluice/qos/judge"
)

// identity tells messages apart.
type identity struct {
	key string
	seq int64
}

// recorder writes the history of one run and knows what is still owed to the subscriber. It is used from many goroutines.
type recorder struct {
	mu      sync.Mutex // guards the following
	file    *os.File
	out     *bufio.Writer
	line    []byte
	err     error // the first; nothing is written after it
	known   map[string]bool
	last    map[string]int64 // highest number stored, by key
	stored  map[identity]bool
	got     map[identity]bool
	missing int // stored and not got
	events  int64
	offered int
}

func newRecorder(path string) (*recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("record a history: %w", err)
	}
	return &recorder{file: f, out: bufio.NewWriterSize(f, 64<<10), known: map[string]bool{}, last: map[string]int64{},
		stored: map[identity]bool{}, got: map[identity]bool{}}, nil
}

func (r *recorder) add(e judge.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(&e)
}

// write is called with the lock held.
func (r *recorder) write(e *judge.Event) {
	if r.err != nil {
		return
	}
	if r.line, r.err = judge.Append(r.line[:0], e); r.err == nil {
		_, r.err = r.out.Write(r.line)
	}
}

// produced notes that a message was handed over.
func (r *recorder) produced(m identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offered++
	r.write(&judge.Event{Kind: judge.Produced, Key: m.key, Seq: m.seq})
}

// isStored notes that the broker has a message; partition is "" where its place is unknown.
func (r *recorder) isStored(m identity, partition string, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(&judge.Event{Kind: judge.Stored, Key: m.key, Seq: m.seq, Partition: partition, Offset: offset})
	if r.stored[m] {
		return
	}
	r.stored[m] = true
	r.last[m.key] = max(r.last[m.key], m.seq)
	if !r.got[m] {
		r.missing++
	}
}

func (r *recorder) refused(m identity) {
	r.add(judge.Event{Kind: judge.Refused, Key: m.key, Seq: m.seq})
}

// party is what a client is judged as: itself, and, where it is one of several members, all of them together.
type party struct {
	self  judge.Event // subscriber, level, rules
	union judge.Event // of no subscriber: there is none
}

// connected notes that a connection begins, and what a subscriber's first is promised. start is where the client asked to
// begin; nil: unknown. Members together are connected once, for the whole run.
func (r *recorder) connected(p party, start judge.Cursor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := p.self
	if r.known[e.Subscriber] {
		e = judge.Event{Kind: judge.Resumed, Subscriber: e.Subscriber}
	}
	r.known[e.Subscriber] = true
	e.Cursor = start
	r.write(&e)
	if u := p.union; u.Subscriber != "" && !r.known[u.Subscriber] {
		r.known[u.Subscriber] = true
		u.Cursor = start
		r.write(&u)
	}
}

// began tells whether a subscriber was ever connected.
func (r *recorder) began(subscriber string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[subscriber]
}

// tell notes an event of a client, and of the members together.
func (r *recorder) tell(p party, e judge.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writeTo(p, &e)
}

// writeTo is called with the lock held.
func (r *recorder) writeTo(p party, e *judge.Event) {
	e.Subscriber = p.self.Subscriber
	r.write(e)
	if p.union.Subscriber != "" {
		e.Subscriber = p.union.Subscriber
		r.write(e)
	}
}

// delivered notes that a client got a message.
func (r *recorder) delivered(p party, m identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writeTo(p, &judge.Event{Kind: judge.Delivered, Key: m.key, Seq: m.seq})
	r.events++
	if r.got[m] {
		return
	}
	r.got[m] = true
	if r.stored[m] {
		r.missing--
	}
}

// log is the subscriber that reads the log of a publish run; those of its partitions are called after it.
const log = "log"

// witnessed notes that the log holds a message.
func (r *recorder) witnessed(m identity, partition string, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range []string{log, log + "/" + partition} {
		r.write(&judge.Event{Kind: judge.Delivered, Subscriber: s, Key: m.key, Seq: m.seq, Partition: partition, Offset: offset})
	}
}

// state is what a run waits on.
type state struct {
	offered, stored, missing int
	deliveries               int64
	ended                    bool // the last stored message of every key arrived
}

func (r *recorder) state() state {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := state{offered: r.offered, stored: len(r.stored), missing: r.missing, deliveries: r.events, ended: len(r.last) > 0}
	for key, seq := range r.last {
		s.ended = s.ended && r.got[identity{key, seq}]
	}
	return s
}

// close ends the history and returns the first error of writing it.
func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range []error{r.out.Flush(), r.file.Close()} {
		if r.err == nil {
			r.err = err
		}
	}
	if r.err != nil {
		return fmt.Errorf("record a history: %w", r.err)
	}
	return nil
}

// Judge reads a recorded history and judges it. What producers were told is read first, so that the places of messages are
// known when they arrive: between producers and subscribers histories have no order.
func Judge(path string) (*judge.Verdict, error) {
	j := judge.New()
	for _, producers := range []bool{true, false} {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("judge a history: %w", err)
		}
		err = judge.Read(f, func(e *judge.Event) error {
			if (e.Kind < judge.Subscribed) != producers {
				return nil
			}
			return j.Add(e)
		})
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("judge %s: %w", path, err)
		}
	}
	return j.Verdict(), nil
}
