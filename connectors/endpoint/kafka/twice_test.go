package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
)

// anew has the log of a still reader begin again at 0, as when its topic was deleted and made anew.
func (r *reader) anew(records []kgo.Record) {
	for i := range records {
		records[i].Offset = 0
	}
	for i := range r.ring.vec {
		r.ring.vec[i] = 0
	}
	r.ring.event(gapMessage(gap{Reason: reasonRecreated}))
	r.ring.wentBack()
	r.ring.src.fire()
}

func mustPoll(t *testing.T, s connectors.Subscription, n int) (out []message.Message) {
	t.Helper()
	for len(out) < n {
		view, err := s.Poll(n - len(out))
		if err != nil || len(view) == 0 {
			t.Fatalf("%d of %d messages, %v", len(out), n, err)
		}
		out = append(out, view...)
	}
	return out
}

// TestCheckpoint_FirstCopyProvesNothingOfTheSecond holds that the receipt of a message of the old log, which comes late, says
// nothing of the message that has its offset in the new one.
func TestCheckpoint_FirstCopyProvesNothingOfTheSecond(t *testing.T) {
	r := still(t, 1, connectors.Limits{})
	s := r.subscriber(true)
	s.group = "group"
	s.markStart(s.vector(nil))
	records := recordsOf(1, 10)
	r.fill(records, 10)
	old := mustPoll(t, s, 10)
	s.DeliveredThrough(&old[2])
	r.anew(records)
	r.fill(records, 10)
	mustPoll(t, s, 1) // the gap
	fresh := mustPoll(t, s, 10)
	for _, tc := range []struct {
		name string
		m    *message.Message
		want int64
	}{
		{"of the old log", &old[7], 0},
		{"of the old log, the last", &old[9], 0},
		{"of the new log", &fresh[4], 5},
		{"of the new log, the last", &fresh[9], 10},
	} {
		s.DeliveredThrough(tc.m)
		if got := s.delivered.at(0); got != tc.want {
			t.Errorf("after a message %s, %d may be saved, not %d", tc.name, got, tc.want)
		}
	}
}

// TestCounted_FirstCopyProvesNothingOfTheSecond is the same at least once, for a partition that was given back and given again,
// and for a log that was made anew.
func TestCounted_FirstCopyProvesNothingOfTheSecond(t *testing.T) {
	reseated := func(_ *testing.T, r *reader, c *counted, _ []kgo.Record) {
		p := r.lay.Load().places[0]
		c.drop(c.leave(map[string][]int32{p.topic: {p.partition}}, true))
		c.open(0, p, spot{next: 0}, spot{next: 0})
		c.resume()
	}
	recreated := func(t *testing.T, r *reader, c *counted, records []kgo.Record) {
		r.anew(records)
		r.fill(records, 10)
		if gap := mustPoll(t, c, 1); gap[0].Kind != message.Gap {
			t.Fatalf("%+v is no gap", gap[0])
		}
	}
	for _, tc := range []struct {
		name  string
		again func(*testing.T, *reader, *counted, []kgo.Record)
	}{{"given again", reseated}, {"made anew", recreated}} {
		for name, prove := range map[string]func(*counted, ...*message.Message){
			"through": func(c *counted, ms ...*message.Message) { c.DeliveredThrough(ms[len(ms)-1]) },
			"single": func(c *counted, ms ...*message.Message) {
				for _, m := range ms {
					c.Acknowledge(m)
				}
			},
		} {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				r := still(t, 1, connectors.Limits{})
				r.ring.withIDs()
				s := r.subscriber(true)
				s.shares = true
				c := newCounted(s, "group", false)
				c.open(0, r.lay.Load().places[0], spot{next: 0}, spot{next: 0})
				c.resume()
				records := recordsOf(1, 10)
				r.fill(records, 10)
				old := mustPoll(t, c, 10)
				tc.again(t, r, c, records)
				fresh := mustPoll(t, c, 10)
				position := func() int64 { return c.lane(0).track.Position() }
				prove(c, &old[0], &old[1], &old[2], &old[3])
				if got := position(); got != 0 {
					t.Errorf("first copies prove %d", got)
				}
				prove(c, &old[4], &old[5], &old[6], &old[7], &old[8], &old[9])
				prove(c, &fresh[0], &fresh[1], &fresh[2])
				if got := position(); got != 3 {
					t.Errorf("three second copies prove %d", got)
				}
				prove(c, &fresh[3], &fresh[4], &fresh[5], &fresh[6], &fresh[7], &fresh[8], &fresh[9])
				if got := position(); got != 10 {
					t.Errorf("all copies prove %d", got)
				}
				if p := c.ledger.(*proofs); p.repeats || p.head != len(p.handed) {
					t.Errorf("%d messages are still remembered", len(p.handed)-p.head)
				}
			})
		}
	}
}
