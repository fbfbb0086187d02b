package kafka

import (
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/message"
)

// TestCounted_AllocatesNothing holds that at-least-once adds no allocation to what is polled and proved, once its window has
// grown.
func TestCounted_AllocatesNothing(t *testing.T) {
	r := still(t, 3, connectors.Limits{})
	r.ring.withIDs()
	s := r.subscriber(true)
	s.shares = true
	c := newCounted(s, "group", false)
	for i, p := range r.lay.Load().places {
		c.open(int32(i), p, spot{next: 0}, spot{next: 0})
	}
	c.resume()
	records := recordsOf(3, 100)
	read := 0
	step := func() {
		for range 10 {
			view, err := c.Poll(16)
			if err != nil {
				t.Fatal(err)
			}
			if len(view) == 0 {
				return
			}
			read += len(view)
			c.DeliveredThrough(&view[len(view)-1])
		}
	}
	r.fill(records, 100)
	step()
	var fills, all float64
	fills = testing.AllocsPerRun(100, func() { r.fill(records, 100) })
	for range 200 {
		step() // up to the live end
	}
	all = testing.AllocsPerRun(100, func() { r.fill(records, 100); step() })
	if want := int(r.ring.count); read != want {
		t.Errorf("read %d messages of %d", read, want)
	}
	if all > fills+1 && !raceEnabled { // a batch more or less
		t.Errorf("%v allocations per 100 messages, %v of them to read them", all, fills)
	}
}

// TestCounted_SharesFrames holds that subscribers at the live end who have all partitions get views of one batch, and those who
// have some of them nothing of the others'.
func TestCounted_SharesFrames(t *testing.T) {
	for _, once := range []bool{false, true} {
		r := still(t, 3, connectors.Limits{})
		r.ring.withIDs()
		open := func(parts ...int32) *counted {
			s := r.subscriber(true)
			s.shares = true
			c := newCounted(s, "group", once)
			for _, i := range parts {
				c.open(i, r.lay.Load().places[i], spot{next: 0}, spot{next: 0})
			}
			c.resume()
			return c
		}
		poll := func(c *counted) message.View {
			view, err := c.PollView(100)
			if view.Len() == 0 && once { // the reservation is made, and saved
				c.ledger.due(false)
				c.ledger.settled()
				view, err = c.PollView(100)
			}
			if err != nil || view.Len() == 0 {
				t.Fatalf("once %t: %d messages, %v", once, view.Len(), err)
			}
			return view
		}
		all, too, some := open(0, 1, 2), open(0, 1, 2), open(1)
		r.fill(recordsOf(3, 100), 12)
		a, b := poll(all), poll(too)
		if a.Batch == nil || a.Batch != b.Batch || a.Len() != 12 {
			t.Errorf("once %t: %d messages are shared: %t, with the other: %t", once, a.Len(), a.Batch != nil, a.Batch == b.Batch)
		}
		for n := 0; n < 4; {
			v := poll(some)
			if n += v.Len(); v.Batch != nil {
				t.Errorf("once %t: shares ids that name others' partitions", once)
			}
			for _, m := range v.Messages() {
				if id, err := cursor.Parse(string(m.ID)); m.Partition != 1 || err != nil || len(id.At) != 1 {
					t.Errorf("once %t: got %d of partition %d, %v, %v", once, m.Offset, m.Partition, id, err)
				}
			}
		}
	}
}
