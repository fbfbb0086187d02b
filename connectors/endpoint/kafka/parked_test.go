package kafka

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// pages reads all of a backlog, a page at a time, and returns what came.
func (b *bed) pages(x func() *exchange.Exchange, n, size int) (got []string) {
	at := "earliest"
	for len(got) < n {
		c := b.mustOpen(x(), connectors.SubscribeOptions{Page: true, Cursor: at, Limit: size})
		got = append(got, contents(c.take(min(size, n-len(got))))...)
		at = string(c.sub.AppendCursor(nil))
		c.sub.Close(b.t.Context())
	}
	return got
}

func TestPage_GoesOnWithTheReaderOfTheLast(t *testing.T) {
	for name, x := range map[string]func() *exchange.Exchange{
		"auto": auto, "at-least-once": func() *exchange.Exchange { return leastOnce("pager") }, "at-most-once": func() *exchange.Exchange { return mostOnce("pager") },
	} {
		t.Run(name, func(t *testing.T) {
			s := fakeSite(t, 1)
			b := s.worker("", connectors.Limits{RingBytes: 128 << 10}) // most of the backlog is not in the ring
			s.produce(5000)
			b.mustOpen(auto(), connectors.SubscribeOptions{}) // keeps the reader
			for i, content := range b.pages(x, 5000, 100) {
				if content != fmt.Sprint(i) {
					t.Fatalf("message %d is %s", i, content)
				}
			}
			if n := b.e.stats.leased.Load(); n > 4 { // of the pages; and the keeper's, who is not a page
				t.Errorf("50 pages took %d clients", n)
			}
		})
	}
}

func TestParked_OnlyAtItsPlaceAndForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := still(t, 2, connectors.Limits{})
		s := r.subscriber(true)
		s.limit = 10
		l := newLease(r, s, vector{3, 4})
		records := recordsOf(2, 10)
		for i := range 6 { // offsets 3, 4 and 5 of partition 0, 4, 5 and 6 of partition 1
			rec := records[i%2]
			rec.Offset = int64(3 + i%2 + i/2)
			l.chain.add(int32(i%2), &rec)
		}
		l.chain.publish()
		s.cur, s.idx = l.chain.tail, 4
		if s.cur.n.Load() == 0 { // the first batch is empty
			t.Fatal("nothing was read")
		}
		s.setLease(l)
		s.spotOf()
		s.Close(t.Context())
		if l.isAbandoned() {
			t.Fatal("it is not kept")
		}
		for _, tc := range []struct {
			at   vector
			want bool
		}{{vector{5, 6}, true}, {vector{5, 5}, true}, {vector{3, 4}, true}, {vector{3, 5}, false}, {vector{6, 6}, false}, {vector{0, 0}, false}} {
			if got := r.isParked(tc.at); got != tc.want {
				t.Errorf("at %v: %t", tc.at, got)
			}
		}
		r.expire(time.Now())
		if p, ok := r.unpark(vector{5, 5}); !ok || p.idx != 3 || p.lease != l {
			t.Errorf("took over %+v, %t", p, ok)
		}
		if _, ok := r.unpark(vector{5, 6}); ok {
			t.Error("it was taken over twice")
		}
		r.parked = append(r.parked, parked{lease: l, cur: l.chain.tail, idx: 4, until: time.Now().Add(parkTime)})
		time.Sleep(parkTime + time.Millisecond)
		r.expire(time.Now())
		if !l.isAbandoned() || len(r.parked) > 0 {
			t.Error("it is kept for ever")
		}
	})
}
