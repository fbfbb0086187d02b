package kafka

import (
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
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
