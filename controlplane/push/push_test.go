package push

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/proto/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a source whose state is set by hand.
type fake struct {
	snap Snapshot
	log  []Changes // what led to it, for fakeIncremental
}

func (f *fake) Snapshot() Snapshot       { return f.snap }
func (f *fake) Changed() <-chan struct{} { return nil }
func (f *fake) Leader() Leadership       { return Leadership{} }

type fakeIncremental struct{ *fake }

func (f fakeIncremental) Since(at wire.At) (Changes, bool) {
	out := Changes{At: f.snap.At}
	changed, removed := map[Key]Deployment{}, map[Key]bool{}
	for _, c := range f.log {
		if !at.Before(c.At) {
			continue
		}
		for _, d := range c.Changed {
			changed[d.Key] = d
			delete(removed, d.Key)
		}
		for _, key := range c.Removed {
			delete(changed, key)
			removed[key] = true
		}
	}
	out.Changed, out.Removed = slices.Collect(maps.Values(changed)), slices.Collect(maps.Keys(removed))
	return out, true
}

// TestIndex_SameOnEveryNode: nodes that saw every step, some of them, or only the end hold the same streams with the same
// digests, and what one says has changed since any earlier position leads from there to here.
func TestIndex_SameOnEveryNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := &fake{snap: Snapshot{Loaded: true}}
		state := map[Key]Deployment{}
		every, some, told := newIndex(), newIndex(), newIndex()
		every.advance(src)
		told.advance(fakeIncremental{src})
		var history []map[wire.Stream]map[string]uint64
		history = append(history, streamsOf(state))
		for rev := uint64(1); rev <= uint64(rapid.IntRange(1, 30).Draw(t, "steps")); rev++ {
			id := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id")
			key := Key{rapid.SampledFrom([]wire.Item{wire.ItemAPI, wire.ItemSubscription}).Draw(t, "item"), id}
			change := Changes{At: wire.At{Revision: rev}}
			if rapid.Bool().Draw(t, "remove") {
				delete(state, key)
				change.Removed = []Key{key}
			} else {
				tags := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y"}), 0, 2, rapid.ID[string]).Draw(t, "tags")
				state[key] = Deployment{Key: key, Revision: rev, Tags: tags, Definition: []byte(fmt.Sprint(rev))}
				change.Changed = []Deployment{state[key]}
			}
			src.snap = Snapshot{At: change.At, Deployments: slices.Collect(maps.Values(state)), Loaded: true}
			src.log = append(src.log, change)
			history = append(history, streamsOf(state))
			every.advance(src)
			told.advance(fakeIncremental{src})
			if rapid.Bool().Draw(t, "seen") {
				some.advance(src)
			}
		}
		some.advance(src)
		fresh := newIndex()
		fresh.advance(src)
		for _, name := range []wire.Stream{wire.Everything, "x", "y", "_sub-_all", "_sub-x", "_sub-y"} {
			at, digest, n := fresh.summary(name)
			for _, x := range []*index{every, some, told} {
				if a, d, m := x.summary(name); a != at || d != digest || m != n {
					t.Fatalf("%s: %s %s %d, want %s %s %d", name, a, d, m, at, digest, n)
				}
			}
			for rev, was := range history {
				checkSince(t, every, name, wire.At{Revision: uint64(rev)}, was[name], history[len(history)-1][name])
			}
		}
	})
}

func streamsOf(state map[Key]Deployment) map[wire.Stream]map[string]uint64 {
	out := map[wire.Stream]map[string]uint64{}
	for key, d := range state {
		for _, s := range wire.StreamsOf(key.Item, d.Tags) {
			if out[s] == nil {
				out[s] = map[string]uint64{}
			}
			out[s][key.ID] = d.Revision
		}
	}
	return out
}

func checkSince(t *rapid.T, x *index, name wire.Stream, have wire.At, was, is map[string]uint64) {
	c, ok := x.since(name, have, nil)
	if !ok {
		t.Fatalf("%s since %s is forgotten", name, have)
	}
	got := maps.Clone(was)
	if got == nil {
		got = map[string]uint64{}
	}
	for _, d := range c.left {
		delete(got, d.id)
	}
	for _, e := range c.entries {
		got[e.deployment.GetApiId()] = e.deployment.GetRevision()
	}
	if len(got) != len(is) || (len(is) > 0 && !maps.Equal(got, is)) {
		t.Fatalf("%s since %s: %v, want %v", name, have, got, is)
	}
}

func TestIndex_NotLoadedKnowsNothing(t *testing.T) {
	x := newIndex()
	x.advance(&fake{snap: Snapshot{At: wire.At{Revision: 5}}})
	if _, loaded := x.position(); loaded {
		t.Fatal("a node that has not caught up believes it has")
	}
}

// TestIndex_APushLeadsOnFromItsOwnStream: a stream that did not change meanwhile has nothing that could be missed.
func TestIndex_APushLeadsOnFromItsOwnStream(t *testing.T) {
	x, src := newIndex(), &fake{}
	put := func(epoch, rev uint64, item wire.Item, id string) map[wire.Stream]*streamChanges {
		src.snap.Loaded, src.snap.At = true, wire.At{Epoch: epoch, Revision: rev}
		src.snap.Deployments = slices.DeleteFunc(src.snap.Deployments, func(d Deployment) bool { return d.Key == Key{item, id} })
		src.snap.Deployments = append(src.snap.Deployments, Deployment{Key: Key{item, id}, Revision: rev})
		_, changes := x.advance(src)
		return changes
	}
	apis, subs := wire.Everything, wire.Everything.Of(wire.ItemSubscription)
	put(0, 5, wire.ItemAPI, "a")
	for _, c := range []struct {
		epoch, rev uint64
		item       wire.Item
		stream     wire.Stream
		want       wire.At
	}{
		{0, 6, wire.ItemSubscription, subs, wire.At{Revision: 5}}, // empty since it was first looked at
		{0, 7, wire.ItemSubscription, subs, wire.At{Revision: 6}},
		{0, 8, wire.ItemAPI, apis, wire.At{Revision: 5}},
		{0, 9, wire.ItemSubscription, subs, wire.At{Revision: 7}},
		{1, 3, wire.ItemAPI, apis, wire.At{Revision: 9}}, // restored from a backup: what was between is not known
		{1, 4, wire.ItemSubscription, subs, wire.At{Epoch: 1, Revision: 3}},
	} {
		changes := put(c.epoch, c.rev, c.item, "x")
		if got := changes[c.stream]; len(changes) != 1 || got == nil || got.prev != c.want {
			t.Errorf("at %d/%d: %+v, want %s from %s", c.epoch, c.rev, got, c.stream, c.want)
		}
	}
}

func TestIndex_ForgetsOldTombstones(t *testing.T) {
	x := newIndex()
	src := &fake{snap: Snapshot{Loaded: true, At: wire.At{Revision: 1}}}
	for i := range maxRemovals + 10 {
		src.snap.Deployments = append(src.snap.Deployments, Deployment{Key: Key{ID: fmt.Sprint(i)}, Revision: 1})
	}
	x.advance(src)
	src.snap = Snapshot{Loaded: true, At: wire.At{Revision: 2}}
	x.advance(src)
	if _, ok := x.since(wire.Everything, wire.At{Revision: 1}, nil); ok {
		t.Fatal("a delta that lacks tombstones")
	}
	if _, ok := x.since(wire.Everything, wire.At{Revision: 2}, nil); !ok {
		t.Fatal("nothing is lacking here")
	}
}

func TestTracker_LiveForThreePeriods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracker(time.Second)
		tr.start(time.Now())
		status := &wire.Status{V: 1, Worker: "w", Incarnation: 1, Seq: 1, PeriodMs: 1000}
		live := func() int { return len(tr.view(time.Now()).live) }
		if err := tr.take(status, time.Now()); err != nil || live() != 1 {
			t.Fatal("not live after its status", err)
		}
		if v := tr.view(time.Now()); v.settled || !v.next.Equal(time.Now().Add(time.Second)) {
			t.Fatalf("settled at once: %+v", v)
		}
		time.Sleep(3*time.Second - 1)
		if live() != 1 {
			t.Fatal("dead before three periods")
		}
		time.Sleep(time.Nanosecond)
		if live() != 0 {
			t.Fatal("live after three periods")
		}
		status.Seq = 2
		if err := tr.take(status, time.Now()); err != nil || live() != 1 {
			t.Fatal("not live again", err)
		}
		if err := tr.take(&wire.Status{V: 1, Worker: "w", Incarnation: 1, Seq: 1, Leaving: true}, time.Now()); err != nil || live() != 1 {
			t.Fatal("an old status replaced a new one", err)
		}
		if err := tr.take(&wire.Status{V: 1, Worker: "w", Incarnation: 1, Seq: 3, Leaving: true}, time.Now()); err != nil || live() != 0 {
			t.Fatal("live after its good-bye", err)
		}
		time.Sleep(forgetAfter + 1)
		tr.expire(time.Now())
		if len(tr.workers) != 0 {
			t.Fatal("not forgotten")
		}
	})
}

func TestSlots_Bounded(t *testing.T) {
	now := time.Now()
	s := newSlots(2)
	if !s.take("a", "_all", now) || !s.take("b", "_all", now) || s.take("c", "_all", now) {
		t.Fatal("two slots are not two")
	}
	if !s.take("a", "_all", now) {
		t.Fatal("who has a slot does not get it again")
	}
	s.release("a", "_all")
	if !s.take("c", "_all", now) {
		t.Fatal("a released slot is not free")
	}
	s.touch("c", "_all", now.Add(slotIdle))
	if !s.take("d", "_all", now.Add(slotIdle+1)) || s.take("e", "_all", now.Add(slotIdle+1)) {
		t.Fatal("one slot was given up, and one was not")
	}
}
