package kafka

import "sync"

// notifier wakes readers of a chain that had read everything. Only those are kept: a publish costs nothing for the others,
// and the lock is held for moving a slice, never while anyone is woken.
type notifier struct {
	mu      sync.Mutex // guards the following and subscription.slot of those in waiting
	waiting []*subscription
	spare   []*subscription // last round's slice
}

// noSlot: the subscription is not waiting.
const noSlot = -1

// wait keeps s until the next fire, unless ready says, with the lock held, that there is something already.
func (n *notifier) wait(s *subscription, ready func() bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ready() {
		return false
	}
	if s.slot == noSlot {
		s.slot = len(n.waiting)
		n.waiting = append(n.waiting, s)
	}
	return true
}

// fire wakes all who wait.
func (n *notifier) fire() {
	n.mu.Lock()
	woken := n.waiting
	n.waiting = n.spare[:0]
	n.spare = nil
	for _, s := range woken {
		s.slot = noSlot
	}
	n.mu.Unlock()
	for _, s := range woken {
		s.wake()
	}
	clear(woken)
	n.mu.Lock()
	n.spare = woken[:0]
	n.mu.Unlock()
}

// leave forgets s.
func (n *notifier) leave(s *subscription) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.slot == noSlot {
		return
	}
	last := len(n.waiting) - 1
	moved := n.waiting[last]
	n.waiting[s.slot], moved.slot = moved, s.slot
	n.waiting[last] = nil
	n.waiting = n.waiting[:last]
	s.slot = noSlot
}
