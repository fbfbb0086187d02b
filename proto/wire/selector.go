package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Selector is a worker's sharding configuration. The zero value selects every API.
type Selector struct {
	include []string
	exclude []string
}

// ParseSelector reads sharding tags as a worker's configuration has them: with tags, the worker serves the APIs that
// carry at least one; with none, every API; "!tag" leaves out the APIs that carry it (spec 10.2).
func ParseSelector(tags []string) (Selector, error) {
	var (
		sel  Selector
		errs []error
	)
	if len(tags) > maxWorkerTags {
		return sel, fmt.Errorf("%w: %d", ErrTooManyTags, len(tags))
	}
	for _, t := range tags {
		name, excluded := strings.CutPrefix(strings.TrimSpace(t), "!")
		if _, err := StreamOf(name); err != nil {
			errs = append(errs, err)
			continue
		}
		if excluded {
			sel.exclude = append(sel.exclude, name)
		} else {
			sel.include = append(sel.include, name)
		}
	}
	return sel, errors.Join(errs...)
}

// Streams lists the streams that the worker follows, those of every item, sorted.
func (s Selector) Streams() []Stream {
	var out []Stream
	for _, item := range items {
		out = append(out, s.streams(item)...)
	}
	slices.Sort(out)
	return out
}

func (s Selector) streams(item Item) []Stream {
	if len(s.include) == 0 {
		return []Stream{Everything.Of(item)}
	}
	out := make([]Stream, 0, len(s.include))
	for _, t := range s.include {
		if st, err := StreamOf(t); err == nil {
			out = append(out, st.Of(item))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Match tells whether the worker serves an API with these tags.
func (s Selector) Match(apiTags []string) bool {
	return !s.Excludes(apiTags) && (len(s.include) == 0 || overlap(s.include, apiTags))
}

// Excludes tells whether an exclusion leaves out an API with these tags.
func (s Selector) Excludes(apiTags []string) bool { return overlap(s.exclude, apiTags) }

// Tags gives the configuration back, inclusions first.
func (s Selector) Tags() []string {
	out := slices.Clone(s.include)
	for _, t := range s.exclude {
		out = append(out, "!"+t)
	}
	return out
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(t string) bool { return slices.Contains(b, t) })
}
