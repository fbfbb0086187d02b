package webhook

import "github.com/sluice-gateway/sluice/qos/message"

// marks finds the highest message before which everything is done: what may be saved under auto. It knows messages by their
// number in the order of Poll, and is not safe for concurrent use.
type marks struct {
	on   bool // off: nobody asks
	ring []mark
	low  uint64 // number of the first message that is not done
	next uint64 // number of the next message
	last *message.Message
}

type mark struct {
	m    *message.Message
	done bool
}

// maxMarks bounds how far the newest message may be ahead of the oldest that is not done.
const maxMarks = 1 << 16

// room returns how many more messages fit.
func (k *marks) room() int {
	if !k.on {
		return maxMarks
	}
	return maxMarks - int(k.next-k.low)
}

// track takes the next message and returns its number.
func (k *marks) track(m *message.Message) uint64 {
	n := k.next
	k.next++
	if !k.on {
		return n
	}
	if int(n-k.low) == len(k.ring) {
		bigger := make([]mark, max(2*len(k.ring), 256))
		for i := k.low; i < n; i++ {
			bigger[i%uint64(len(bigger))] = k.ring[i%uint64(len(k.ring))]
		}
		k.ring = bigger
	}
	k.ring[n%uint64(len(k.ring))] = mark{m: m}
	return n
}

func (k *marks) done(n uint64) {
	if !k.on {
		return
	}
	k.ring[n%uint64(len(k.ring))].done = true
	for k.low < k.next {
		at := &k.ring[k.low%uint64(len(k.ring))]
		if !at.done {
			return
		}
		k.last = at.m
		*at = mark{}
		k.low++
	}
}

// take returns the newest message before which, itself included, everything is done, once; nil: nothing new.
func (k *marks) take() *message.Message {
	m := k.last
	k.last = nil
	return m
}
