package eventloop

import "time"

// wheel holds connections by the time when they are due. A connection stands in one slot at a time; where it becomes
// due later than its slot says, it moves when the slot comes up, so that what happens per message never touches the wheel.
type wheel struct {
	slots [wheelSlots]*Conn // heads of lists
	begin time.Time         // of tick 0
	tick  int64             // the next to be looked at
	soon  int64             // no slot before this tick's has anything
	count int
}

// The wheel's grain and size. What is due later than a turn stands in the last slot and is looked at once per turn. The grain is
// well below the pause before a client's TCP is asked what it has: where few messages may be unproven, that is what a stream
// waits for.
const (
	grain      = 20 * time.Millisecond
	wheelSlots = 512
)

func (w *wheel) tickOf(t time.Time) int64 {
	return int64((t.Sub(w.begin) + grain - 1) / grain)
}

// put makes sure that c is looked at by the time t.
func (w *wheel) put(c *Conn, t time.Time) {
	c.due = t
	at := max(w.tickOf(t), w.tick+1) // never the slot that is being emptied
	if c.inWheel && c.slotTick <= at {
		return // it moves then
	}
	w.remove(c)
	at = min(at, w.tick+wheelSlots-1)
	head := &w.slots[at%wheelSlots]
	c.slotTick, c.inWheel = at, true
	c.nextInSlot, c.prevInSlot = *head, nil
	if *head != nil {
		(*head).prevInSlot = c
	}
	*head = c
	w.soon = min(w.soon, at)
	w.count++
}

func (w *wheel) remove(c *Conn) {
	if !c.inWheel {
		return
	}
	if c.prevInSlot != nil {
		c.prevInSlot.nextInSlot = c.nextInSlot
	} else {
		w.slots[c.slotTick%wheelSlots] = c.nextInSlot
	}
	if c.nextInSlot != nil {
		c.nextInSlot.prevInSlot = c.prevInSlot
	}
	c.nextInSlot, c.prevInSlot, c.inWheel = nil, nil, false
	w.count--
}

// expire calls f for every connection that is due at now.
func (w *wheel) expire(now time.Time, f func(*Conn)) {
	for last := int64(now.Sub(w.begin) / grain); w.tick <= last; w.tick++ {
		slot := w.tick % wheelSlots
		for c := w.slots[slot]; c != nil; c = w.slots[slot] {
			due := c.due
			w.remove(c)
			if due.After(now) {
				w.put(c, due)
				continue
			}
			f(c)
		}
		if w.count == 0 {
			w.tick = last + 1
			return
		}
	}
}

// next is when the first connection may be due; false: none is.
func (w *wheel) next() (time.Time, bool) {
	if w.count == 0 {
		return time.Time{}, false
	}
	for t := max(w.tick, w.soon); t < w.tick+wheelSlots; t++ {
		if w.slots[t%wheelSlots] != nil {
			w.soon = t
			return w.begin.Add(time.Duration(t) * grain), true
		}
	}
	return time.Time{}, false
}
