package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/qos/message"
)

// reading is what a feed reads and how: what has the same key shares a reader.
type reading struct {
	topics     []string
	pattern    *pattern // instead of topics; nil: none
	encodeID   bool
	stripMagic bool
	mustExist  bool
}

// key tells readings apart. No topic has a name with a space or a comma in it.
func (r *reading) key() string {
	text := strings.Join(r.topics, ",")
	if r.pattern != nil {
		text = "~" + r.pattern.text
	}
	return fmt.Sprintf("%t,%t,%t %s", r.encodeID, r.stripMagic, r.mustExist, text)
}

// covers tells whether a topic is, or would be, read.
func (r *reading) covers(topic string) bool {
	if r.pattern != nil {
		return validTopic(topic) && r.pattern.match.MatchString(topic)
	}
	return slices.Contains(r.topics, topic)
}

// valid tells whether there is anything to read.
func (r *reading) valid() bool {
	if r.pattern != nil {
		return true
	}
	return len(r.topics) > 0 && !slices.ContainsFunc(r.topics, func(t string) bool { return !validTopic(t) })
}

// mostTopics bounds the topics that a pattern may name.
const mostTopics = 512

// matches are the topics that a pattern names.
type matches struct {
	now    []string // of the last look
	before []string // of the one before: one broker may know of a new topic sooner than the next that is asked
	all    []string // of both, sorted
}

// names are the topics that exist, as far as is known, or that are waited for.
func (f *feed) names() []string {
	if f.pattern == nil {
		return f.topics
	}
	if m := f.matches.Load(); m != nil {
		return m.all
	}
	return nil
}

// discover looks for the topics that match the pattern. Whoever reads a layout before the names finds all of its topics among them
// but those that were deleted.
func (f *feed) discover(ctx context.Context) ([]string, error) {
	if f.pattern == nil {
		return f.topics, nil
	}
	f.looking.Lock()
	defer f.looking.Unlock()
	now, err := f.control.matching(ctx, f.pattern)
	if err != nil {
		return nil, err
	}
	known := f.names()
	left := int64(0)
	if len(now) > mostTopics { // those that are read are read on
		fresh := func(topic string) bool { return !slices.Contains(known, topic) }
		now = append(slices.DeleteFunc(slices.Clone(now), fresh), slices.DeleteFunc(now, func(t string) bool { return !fresh(t) })...)
		left = int64(len(now) - mostTopics)
		now = now[:mostTopics]
		f.e.lost.Warn(f.e.log, "a topic pattern matches more topics than are read at once", "pattern", f.pattern.text,
			"topics", mostTopics+left, "read", mostTopics)
	}
	f.e.stats.leftOut.Add(left - f.left.Swap(left))
	next := &matches{now: now}
	if old := f.matches.Load(); old != nil {
		next.before = old.now
	}
	next.all = distinct(slices.Concat(next.now, next.before))
	slices.Sort(next.all)
	f.matches.Store(next)
	return next.all, nil
}

// tooMany refuses a pattern that matches more than is read; nil: it does not.
func (f *feed) tooMany() error {
	left := f.left.Load()
	if left == 0 {
		return nil
	}
	f.forgetLeft()
	return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid,
		Message: fmt.Sprintf("%s: the topic pattern %s matches %d topics, and at most %d are read; make it narrower",
			textInvalid, f.pattern.text, mostTopics+left, mostTopics)}
}

// forgetLeft is for the end of reading.
func (f *feed) forgetLeft() { f.e.stats.leftOut.Add(-f.left.Swap(0)) }

// gone tells which places of a layout that was read before names are of topics that are no more.
func (f *feed) gone(lay *layout, names []string) func(i int) bool {
	if f.pattern == nil {
		return func(int) bool { return false }
	}
	deleted := map[string]bool{}
	for topic := range lay.index {
		if !slices.Contains(names, topic) {
			deleted[topic] = true
		}
	}
	return func(i int) bool { return i < len(lay.places) && deleted[lay.places[i].topic] }
}

// live is where the ring stands.
func (r *reader) live() vector {
	b := r.ring.newest.Load()
	return b.vectorAt(nil, b.n.Load())
}

// look makes a vector of what ask finds. In a topic that is no more it is where the ring stands: nothing comes of it.
func (r *reader) look(ctx context.Context, ask lookup) (vector, error) {
	lay := r.lay.Load()
	names := r.f.names()
	found, err := ask(ctx, names)
	if err != nil {
		return nil, err
	}
	return r.passGone(r.fromOffsets(found), lay, names), nil
}

func (r *reader) passGone(vec vector, lay *layout, names []string) vector {
	live, gone := r.live(), r.f.gone(lay, names)
	for i := range lay.places {
		if gone(i) {
			vec = vec.set(i, live.at(i))
		}
	}
	return vec
}

// lookup is one of control's: offsets of topics.
type lookup func(ctx context.Context, topics []string) (offsets, error)
