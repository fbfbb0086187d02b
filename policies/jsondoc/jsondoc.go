// Package jsondoc holds JSON documents whose objects keep the order of their members, and whose numbers keep what kind they
// are, for policies that rearrange documents. Reading and writing are bounded in depth and size. It does no I/O and starts no
// goroutine.
//
// Values are nil, bool, string, int32, int64, float64, Number, *Object and *Array. Objects and arrays are references, and
// whoever puts one at two places sees changes at both.
package jsondoc

import (
	"errors"
	"slices"
)

// What a document may have at most.
const (
	MaxDepth = 128       // objects and arrays within each other
	MaxSize  = 16 << 20  // bytes of a document that is read or written
	maxItems = 1_000_000 // values of a document that is read
)

// ErrLimit: a document is beyond a limit.
var ErrLimit = errors.New("the document is too large")

// Number is the text of a number that neither an int64 nor, exactly, a float64 holds.
type Number string

// Array is a list of values.
type Array struct{ Items []any }

// NewArray returns an array of items, which it owns.
func NewArray(items ...any) *Array { return &Array{Items: items} }

// Member is a member of an object.
type Member struct {
	Name  string
	Value any
}

// indexed is from how many members on an object has an index: below, looking through them is faster.
const indexed = 12

// Object is an object. The zero value is empty and ready.
type Object struct {
	members []Member
	index   map[string]int // nil: too few members
}

// Len is how many members there are.
func (o *Object) Len() int { return len(o.members) }

// At is the i-th member.
func (o *Object) At(i int) Member { return o.members[i] }

// Names are the names of all members, in order.
func (o *Object) Names() []string {
	out := make([]string, len(o.members))
	for i := range o.members {
		out[i] = o.members[i].Name
	}
	return out
}

func (o *Object) find(name string) int {
	if o.index != nil {
		if i, ok := o.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range o.members {
		if o.members[i].Name == name {
			return i
		}
	}
	return -1
}

// Get returns the value of a member; ok false: there is none.
func (o *Object) Get(name string) (value any, ok bool) {
	if i := o.find(name); i >= 0 {
		return o.members[i].Value, true
	}
	return nil, false
}

// Set gives a member a value, at the end where it is new.
func (o *Object) Set(name string, value any) {
	if i := o.find(name); i >= 0 {
		o.members[i].Value = value
		return
	}
	o.members = append(o.members, Member{Name: name, Value: value})
	switch {
	case o.index != nil:
		o.index[name] = len(o.members) - 1
	case len(o.members) > indexed:
		o.reindex()
	}
}

// Delete removes a member, where there is one.
func (o *Object) Delete(name string) {
	if i := o.find(name); i >= 0 {
		o.members = slices.Delete(o.members, i, i+1)
		o.reindex()
	}
}

// DeleteFunc removes the members that f tells.
func (o *Object) DeleteFunc(f func(Member) bool) {
	o.members = slices.DeleteFunc(o.members, f)
	o.reindex()
}

func (o *Object) reindex() {
	if o.index = nil; len(o.members) <= indexed {
		return
	}
	o.index = make(map[string]int, 2*len(o.members))
	for i := range o.members {
		o.index[o.members[i].Name] = i
	}
}

// Equal tells whether two values are the same: numbers of one kind by value, objects whatever the order of their members.
func Equal(a, b any) bool { return equal(a, b, 0) }

func equal(a, b any, depth int) bool {
	if depth > MaxDepth {
		return false
	}
	switch x := a.(type) {
	case *Object:
		y, ok := b.(*Object)
		if !ok || x.Len() != y.Len() {
			return false
		}
		for _, m := range x.members {
			if v, ok := y.Get(m.Name); !ok || !equal(m.Value, v, depth+1) {
				return false
			}
		}
		return true
	case *Array:
		y, ok := b.(*Array)
		return ok && slices.EqualFunc(x.Items, y.Items, func(v, w any) bool { return equal(v, w, depth+1) })
	}
	return a == b
}
