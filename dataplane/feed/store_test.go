package feed

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/proto/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// steps drives a store of two streams by hand.
type steps struct {
	*testing.T
	store *store
	have  map[key]*held
	first bool
}

func newSteps(t *testing.T) *steps {
	t.Helper()
	sel, err := wire.ParseSelector([]string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	s := &steps{T: t, store: newStore(sel), have: map[key]*held{}, first: true}
	for _, name := range sel.Streams() {
		at := wire.At{Revision: 1}
		s.store.commit(s.store.streams[name], replacement(at), at)
	}
	s.served("at start")
	return s
}

// commit takes one record into a stream, which is then at the revision.
func (s *steps) commit(name wire.Stream, revision uint64, recs ...*wire.Record) {
	s.Helper()
	st, at := s.store.streams[name], wire.At{Revision: revision}
	c := changeOf(st, at)
	for _, r := range recs {
		if err := c.record(r); err != nil {
			s.Fatal(err)
		}
	}
	s.store.commit(st, c, at)
}

// served checks the revisions of the API "x" that the next update leads to; none: it is not served.
func (s *steps) served(what string, want ...uint64) {
	s.Helper()
	if _, ok := s.store.take(s.have, s.first); !ok {
		s.Fatalf("%s: nothing to take", what)
	}
	s.first = false
	h := s.have[key{id: "x"}]
	switch {
	case h == nil && len(want) == 0:
	case h == nil || len(want) == 0 || h.deployment.GetRevision() != want[0]:
		s.Fatalf("%s: serving %v, want %v", what, h, want)
	}
}

func deployed(revision uint64, tags ...string) *wire.Record {
	return &wire.Record{Piece: &wire.Record_Changed{Changed: &wire.Deployment{ApiId: "x", Revision: revision, Tags: tags}}}
}

func removed() *wire.Record { return &wire.Record{Piece: &wire.Record_Removed{Removed: "x"}} }

func moved(revision uint64, tags ...string) *wire.Record {
	return &wire.Record{Piece: &wire.Record_Moved{Moved: &wire.Moved{ApiId: "x", Revision: revision, Tags: tags}}}
}

func TestStore_MoveWaitsForTheOtherStream(t *testing.T) {
	s := newSteps(t)
	s.commit("a", 2, deployed(2, "a"))
	s.served("deployed", 2)
	s.commit("a", 3, moved(3, "b"))
	s.served("left a, not yet in b", 2)
	s.commit("b", 3, deployed(3, "b"))
	s.served("in b", 3)
}

func TestStore_MoveAwayIsNotWaitedFor(t *testing.T) {
	s := newSteps(t)
	s.commit("a", 2, deployed(2, "a"))
	s.served("deployed", 2)
	s.commit("a", 3, moved(3, "elsewhere"))
	s.served("moved to a tag of other workers")
}

func TestStore_AStreamThatIsBehindBringsNothingBack(t *testing.T) {
	s := newSteps(t)
	s.commit("a", 2, deployed(2, "a", "b"))
	s.commit("b", 2, deployed(2, "a", "b"))
	s.served("deployed", 2)
	s.commit("b", 5, deployed(5, "a", "b"))
	s.served("b is ahead", 5)
	s.commit("b", 6, removed())
	s.served("removed, though a still has revision 2")
	s.commit("a", 6, removed())
	s.served("a knows too")
	if len(s.store.gone)+len(s.store.due)+len(s.store.dirty) != 0 {
		t.Errorf("left behind: %v %v %v", s.store.gone, s.store.due, s.store.dirty)
	}
}

func TestStore_ReplacementWithoutAnAPIWaits(t *testing.T) {
	s := newSteps(t)
	s.commit("a", 2, deployed(2, "a"))
	s.served("deployed", 2)
	at := wire.At{Revision: 9}
	s.store.commit(s.store.streams["a"], replacement(at), at)
	s.served("not in a any more, b is behind", 2)
	s.commit("b", 9)
	s.served("not in b either")
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		name, in string
		n        int
		want     string
	}{
		{"short", "abc", 3, "abc"},
		{"long", "abcd", 3, "abc"},
		{"in a character", "ab\u00e9", 3, "ab"},
		{"not UTF-8", "a\xffb", 3, "ab"},
	} {
		if got := clip(c.in, c.n); got != c.want || !utf8.ValidString(got) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if n := len(clip(strings.Repeat("é", 400), wire.MaxErrorBytes)); n > wire.MaxErrorBytes {
		t.Errorf("%d bytes", n)
	}
}

func TestFeed_BackOffBounded(t *testing.T) {
	f := &Feed{cfg: Config{BackOffMax: time.Second}}
	for attempts := range 100 {
		if d := f.backOff(attempts); d < backOffMin/2 || d > time.Second {
			t.Fatalf("attempt %d waits %s", attempts, d)
		}
	}
}
