package fsm

import "slices"

const (
	// maxTouches bounds what is remembered of what changed; who is further behind compares everything. 16,384 of them are
	// about 1 MiB.
	maxTouches = 16_384
	// keepTouches is how many stay when the bound is met, so that the copying is paid once in many changes.
	keepTouches = 8_192
)

// touch is something that workers are to be told of anew.
type touch struct {
	revision uint64
	kind     touched
	id       string
}

// touched is what a touch is about.
type touched uint8

const (
	touchedAPI          touched = iota // the API
	touchedSubscription                // the subscription
	touchedMembers                     // all subscriptions of the API: it is served elsewhere, or no more
)

// touches is what changed lately, oldest first. Log is only appended to and cut at the front, so that states share it.
type touches struct {
	floor uint64 // what changed after this revision is all there
	log   []touch
}

// touch notes that workers are to be told, which makes this command's index the revision.
func (c *change) touch(kind touched, ids ...string) {
	s := c.state
	s.revision = s.index
	for _, id := range ids {
		s.touched.log = append(s.touched.log, touch{s.index, kind, id})
	}
	if over := len(s.touched.log) - keepTouches; len(s.touched.log) > maxTouches {
		s.touched.floor = s.touched.log[over-1].revision
		kept := s.touched.log[over:]
		if i := slices.IndexFunc(kept, func(t touch) bool { return t.revision > s.touched.floor }); i >= 0 {
			kept = kept[i:] // a revision is remembered whole or not at all
		} else {
			kept = nil
		}
		s.touched.log = slices.Clone(kept)
	}
}

// ChangedSince lists the APIs and subscriptions of which workers have to be told what they were not told at the revision,
// each once; removed ones are among them. It reports false when that is no longer known.
func (s *State) ChangedSince(revision uint64) (apis, subscriptions []string, ok bool) {
	if revision < s.touched.floor || revision > s.revision {
		return nil, nil, false
	}
	i, _ := slices.BinarySearchFunc(s.touched.log, revision, func(t touch, r uint64) int {
		if t.revision <= r {
			return -1
		}
		return 1
	})
	seen := map[touch]bool{}
	add := func(kind touched, id string, to *[]string) {
		if key := (touch{kind: kind, id: id}); !seen[key] {
			seen[key] = true
			*to = append(*to, id)
		}
	}
	for _, t := range s.touched.log[i:] {
		switch t.kind {
		case touchedAPI:
			add(touchedAPI, t.id, &apis)
		case touchedSubscription:
			add(touchedSubscription, t.id, &subscriptions)
		case touchedMembers:
			for sub := range s.SubscriptionsOf(t.id) {
				add(touchedSubscription, sub.ID, &subscriptions)
			}
		}
	}
	return apis, subscriptions, true
}
