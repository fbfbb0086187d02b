package apidef

import (
	"slices"
	"strings"
)

// A codec knows one kind of value: how it is read from a document, written to one, checked on its own and described
// in the JSON Schema. The tables of shape_*.go compose codecs into the definition, so that the four always agree.
type codec[V any] struct {
	empty  func(v V) bool                           // an empty value is not written, and misses where it is required
	read   func(r *reader, n *node, at place) V     // reports to r what is wrong; the value is then empty
	write  func(w *writer, at string, v V) *node    // at is the pointer in the normal form
	check  func(c *checker, at string, v V)         // nil: every value of this kind is good
	schema func(defs map[string]any) map[string]any // adds to defs what it refers to
}

// A shape is one object of the definition: its name in the schema and its members in the order they are written.
type shape[T any] struct {
	name    string
	fields  []field[T]
	carried []string                                 // members kept as they are, without a warning
	settle  func(r *reader, n *node, at place, t *T) // optional: fills what depends on several members
}

// field is one member of the object T.
type field[T any] struct {
	naming
	read   func(r *reader, n *node, at place, t *T)
	write  func(w *writer, at string, t *T) *node // nil: empty
	check  func(c *checker, at string, t *T)
	schema func(defs map[string]any) map[string]any
}

// naming is how a member is called.
type naming struct {
	name     string             // in the normal form, and in every dialect without a name of its own
	in       map[Dialect]string // in the dialects that have one
	former   []string           // names of the past: read with a warning
	required string             // the code of the problem where it misses; "": it may
	hint     string             // what the problem says besides
}

type option func(*naming)

// as gives a member another name in one dialect. It is read in all of them.
func as(d Dialect, name string) option {
	return func(n *naming) {
		if n.in == nil {
			n.in = map[Dialect]string{}
		}
		n.in[d] = name
	}
}

// formerly names a member as old documents do.
func formerly(name string) option {
	return func(n *naming) { n.former = append(n.former, name) }
}

// required makes a member obligatory; code is what its absence is reported as, hint what it is for.
func required(code, hint string) option {
	return func(n *naming) { n.required, n.hint = code, hint }
}

// member makes the field of T that of points at.
func member[T, V any](name string, of func(*T) *V, c codec[V], options ...option) field[T] {
	f := field[T]{naming: naming{name: name}}
	for _, o := range options {
		o(&f.naming)
	}
	f.read = func(r *reader, n *node, at place, t *T) { *of(t) = c.read(r, n, at) }
	f.write = func(w *writer, at string, t *T) *node {
		if v := *of(t); !c.empty(v) {
			return c.write(w, at, v)
		}
		return nil
	}
	f.check = func(ch *checker, at string, t *T) {
		switch v := *of(t); {
		case c.empty(v) && f.required != "":
			ch.fail(at, f.required, "is required: %s", f.hint)
		case !c.empty(v) && c.check != nil:
			c.check(ch, at, v)
		}
	}
	f.schema = c.schema
	return f
}

// find is the entry of n that holds the member, under whichever of its names. A second one is an error, a name of
// the past or of the manifest a warning, and null is as good as absent. It adds to known what it takes for its own.
func (m naming) find(r *reader, n *node, at place, known map[string]bool) *entry {
	var found *entry
	for _, e := range n.entries {
		if !m.goesBy(e.name) {
			continue
		}
		known[e.name] = true
		if e.value.kind == nullKind {
			continue
		}
		here := e.place(at, m.name)
		if found != nil {
			r.fail(here, CodeMemberDuplicate, "says the same as %s; keep one", found.place(at, m.name).from)
			continue
		}
		found = e
		if present := m.present(r.dialect); m.dated(e.name, r.dialect) {
			r.warn(here, CodeMemberRenamed, "is called %s now", present)
		}
	}
	return found
}

func (m naming) goesBy(name string) bool {
	if name == m.name {
		return true
	}
	for _, other := range m.in {
		if name == other {
			return true
		}
	}
	return slices.Contains(m.former, name)
}

// present is the member's name in a dialect.
func (m naming) present(d Dialect) string {
	if name, ok := m.in[d]; ok {
		return name
	}
	return m.name
}

// dated tells whether a name is one of the past, or one that only manifests use and this is none. The two live JSON
// dialects mix in practice and are told apart by a guess, so their names for one thing pass without a word.
func (m naming) dated(name string, d Dialect) bool {
	manifestOnly := name == m.in[CRD] && name != m.name && name != m.in[Management]
	return slices.Contains(m.former, name) || manifestOnly && d != CRD
}

// object is the codec of a shape.
func object[T any](s *shape[T]) codec[T] {
	return codec[T]{
		empty:  func(T) bool { return false },
		read:   s.read,
		write:  s.write,
		check:  func(c *checker, at string, t T) { s.check(c, at, &t) },
		schema: s.schema,
	}
}

func (s *shape[T]) read(r *reader, n *node, at place) (t T) {
	if !r.want(objectKind, n, at) {
		return t
	}
	known := map[string]bool{}
	for _, f := range s.fields {
		e := f.find(r, n, at, known)
		if e == nil {
			continue
		}
		here := e.place(at, f.name)
		if e.name != f.name || e.from != "" {
			r.origins[here.to] = here.from
		}
		f.read(r, e.value, here, &t)
	}
	s.keep(r, n, at, known)
	if s.settle != nil {
		s.settle(r, n, at, &t)
	}
	return t
}

// keep takes what no field took.
func (s *shape[T]) keep(r *reader, n *node, at place, known map[string]bool) {
	for _, e := range n.entries {
		here := e.place(at, e.name)
		switch {
		case known[e.name]:
		case slices.Contains(s.carried, e.name):
			keepRaw(&r.carried, here.to, e.value)
		default:
			keepRaw(&r.unknown, here.to, e.value)
			s.warnUnknown(r, here, e.name)
		}
	}
}

// longestName bounds the names for which it is worth to look for a similar one.
const longestName = 40

func (s *shape[T]) warnUnknown(r *reader, at place, name string) {
	if r.dropped == 0 && len(name) <= longestName {
		if meant := s.closest(name, r.dialect); meant != "" {
			r.warn(at, CodeMemberUnknown, "is unknown and has no effect; did you mean %s?", meant)
			return
		}
	}
	r.warn(at, CodeMemberUnknown, "is unknown and has no effect; it is kept as it is")
}

// closest names the member that a misspelt one is closest to, or "".
func (s *shape[T]) closest(name string, d Dialect) string {
	best, least := "", 3 // three wrong letters are another word
	for _, f := range s.fields {
		present := f.present(d)
		if wrong := distance(strings.ToLower(name), strings.ToLower(present)); wrong < least && wrong < len(name)/2 {
			best, least = present, wrong
		}
	}
	return best
}

func (s *shape[T]) write(w *writer, at string, t T) *node {
	n := &node{kind: objectKind}
	for _, f := range s.fields {
		n.set(f.present(w.dialect), f.write(w, childOf(at, f.name), &t))
	}
	for _, e := range w.kept[at] {
		n.set(e.name, e.value)
	}
	return n
}

func (s *shape[T]) check(c *checker, at string, t *T) {
	for _, f := range s.fields {
		f.check(c, childOf(at, f.name), t)
	}
}
