package rates_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/policies/rates"
)

var second = rates.Period{N: 1, Unit: rates.Seconds}

func call(key string, limit int64) rates.Call {
	return rates.Call{Key: rates.KeyOf([]byte(key)), Limit: limit, Period: second}
}

func hit(t *testing.T, table *rates.Table, c rates.Call) rates.Count {
	t.Helper()
	n, err := table.Hit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTable_CountsExactlyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var table rates.Table
		begin := time.Now()
		for i := range int64(5) {
			if n := hit(t, &table, call("a", 3)); n.Calls != i+1 || !n.Reset.Equal(begin.Add(time.Second)) {
				t.Errorf("call %d: %+v", i+1, n)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := hit(t, &table, call("b", 3)); n.Calls != 1 {
			t.Errorf("another key: %+v", n)
		}
		time.Sleep(500 * time.Millisecond) // the end of the first window
		if n := hit(t, &table, call("a", 3)); n.Calls != 1 || !n.Reset.Equal(begin.Add(2*time.Second)) {
			t.Errorf("the next window: %+v", n)
		}
	})
}

// TestTable_ForgetsWindows: keys that come once do not fill the memory.
func TestTable_ForgetsWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var table rates.Table
		for i := range 20_000 {
			hit(t, &table, call(string(rune(i)), 1))
			time.Sleep(time.Millisecond)
		}
		if n := table.Len(); n > 5_000 {
			t.Errorf("%d windows are kept, of which about 1,000 are not over", n)
		}
	})
}

func TestTable_IsBounded(t *testing.T) {
	t.Parallel()
	var table rates.Table
	long := rates.Period{N: 1, Unit: rates.Hours}
	for i := range 2 << 20 {
		key := rates.Key{0: 0, 1: byte(i), 2: byte(i >> 8), 3: byte(i >> 16)} // all in one part
		if _, err := table.Hit(t.Context(), rates.Call{Key: key, Limit: 1, Period: long}); err != nil {
			if !errors.Is(err, rates.ErrFull) || table.Len() != 1<<16 {
				t.Errorf("%v with %d windows", err, table.Len())
			}
			return
		}
	}
	t.Error("never full")
}

// worker is a table with a number for its run.
type worker struct {
	rates.Table
	origin, seq uint64
	hurried     int
}

func newWorker(origin uint64, of int) *worker {
	w := &worker{origin: origin}
	w.SetWorkers(of)
	w.Hurry = func() { w.hurried++ }
	return w
}

// tell returns what a worker would tell now.
func (w *worker) tell() []rates.Share {
	w.seq++
	shares, _ := w.Changed(nil, 1000)
	for i := range shares {
		shares[i].Origin, shares[i].Seq = w.origin, w.seq
	}
	return shares
}

func TestTable_AddsTheSharesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWorker(1, 2), newWorker(2, 2)
		end := time.Now().Add(time.Second)
		for range 3 {
			hit(t, &a.Table, call("k", 100))
		}
		first := a.tell()
		hit(t, &a.Table, call("k", 100))
		second := a.tell()
		b.Merge(b.origin, second)
		b.Merge(b.origin, first)  // late
		b.Merge(b.origin, second) // twice
		time.Sleep(10 * time.Millisecond)
		if n := hit(t, &b.Table, call("k", 100)); n.Calls != 5 || !n.Reset.Equal(end) {
			t.Errorf("%+v, want 5 calls to %v", n, end)
		}
		a.Merge(a.origin, b.tell())
		a.Merge(a.origin, second) // its own, told by somebody else
		if n := hit(t, &a.Table, call("k", 100)); n.Calls != 6 {
			t.Errorf("%+v, want 6 calls", n)
		}
		time.Sleep(time.Second)
		if n := hit(t, &b.Table, call("k", 100)); n.Calls != 1 {
			t.Errorf("the next window: %+v", n)
		}
		b.Merge(b.origin, second)
		if n := hit(t, &b.Table, call("k", 100)); n.Calls != 2 {
			t.Errorf("after a share of a window that is over: %+v", n)
		}
	})
}

// TestTable_WindowsBecomeOne: two that began within the time of an exchange end together, with the first.
func TestTable_WindowsBecomeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWorker(1, 2), newWorker(2, 2)
		end := time.Now().Add(time.Second)
		hit(t, &a.Table, call("k", 100))
		time.Sleep(30 * time.Millisecond)
		hit(t, &b.Table, call("k", 100))
		fromA, fromB := a.tell(), b.tell()
		b.hurried = 0
		a.Merge(a.origin, fromB)
		b.Merge(b.origin, fromA)
		if n := hit(t, &b.Table, call("k", 100)); n.Calls != 3 || !n.Reset.Equal(end) {
			t.Errorf("the later: %+v, want 3 calls to %v", n, end)
		}
		if b.hurried == 0 {
			t.Error("the later does not say so at once")
		}
		time.Sleep(970*time.Millisecond + 1)
		if n := hit(t, &a.Table, call("k", 100)); n.Calls != 1 || !n.Reset.After(end) {
			t.Errorf("the share that began later outlives the window: %+v", n)
		}
	})
}

// TestTable_Hurries: calls are told at once when they are a twentieth of the limit, shared by the workers, and only up to it.
func TestTable_Hurries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name           string
			limit          int64
			workers, calls int
			lazy           bool
			want           int
		}{
			{"a small limit", 10, 3, 5, false, 5},
			{"a large limit", 1200, 3, 60, false, 3},
			{"above the limit", 10, 3, 50, false, 10},
			{"late", 10, 3, 5, true, 0},
		} {
			w := newWorker(1, c.workers)
			for range c.calls {
				k := call("k", c.limit)
				k.Lazy = c.lazy
				hit(t, &w.Table, k)
			}
			if w.hurried != c.want {
				t.Errorf("%s: %d times, want %d", c.name, w.hurried, c.want)
			}
		}
	})
}

func TestTable_EachGivesWhatALateComerNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, gone, late := newWorker(1, 2), newWorker(2, 2), newWorker(3, 2)
		hit(t, &a.Table, call("k", 100))
		hit(t, &gone.Table, call("k", 100))
		hit(t, &gone.Table, call("other", 100))
		a.Merge(a.origin, gone.tell())
		shares := []rates.Share{}
		a.Each(func(origin uint64) bool { return origin == gone.origin }, func(s rates.Share) bool {
			if s.Origin == 0 {
				s.Origin, s.Seq = a.origin, 1
			}
			shares = append(shares, s)
			return true
		})
		late.Merge(late.origin, shares)
		if n := hit(t, &late.Table, call("k", 100)); n.Calls != 3 {
			t.Errorf("%+v, want 3 calls", n)
		}
		if n := hit(t, &late.Table, call("other", 100)); n.Calls != 2 {
			t.Errorf("%+v, want 2 calls", n)
		}
	})
}

func TestPeriod_Calendar(t *testing.T) {
	t.Parallel()
	day := func(s string) time.Time {
		at, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct {
		from   string
		period rates.Period
		want   string
	}{
		{"2026-01-31 10:20", rates.Period{N: 1, Unit: rates.Months, Calendar: true}, "2026-02-28 10:20"},
		{"2026-11-15 10:20", rates.Period{N: 3, Unit: rates.Months, Calendar: true}, "2027-02-15 10:20"},
		{"2026-01-31 10:20", rates.Period{N: 2, Unit: rates.Weeks, Calendar: true}, "2026-02-14 10:20"},
		{"2026-01-31 10:20", rates.Period{N: 1, Unit: rates.Days, Calendar: true}, "2026-02-01 10:20"},
		{"2026-01-31 10:20", rates.Period{N: 3, Unit: rates.Hours, Calendar: true}, "2026-01-31 13:20"},
		{"2026-01-31 10:20", rates.Period{N: 1, Unit: rates.Months}, "2026-03-02 10:20"},
	} {
		if got := c.period.After(day(c.from)); !got.Equal(day(c.want)) {
			t.Errorf("%+v from %s: %v, want %s", c.period, c.from, got, c.want)
		}
	}
}
