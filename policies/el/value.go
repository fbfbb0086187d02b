package el

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Kind is the type of a value.
type Kind uint8

// Kinds. Int and Long differ as in Java, by the range of the first; arithmetic moves from Int to Long by itself.
const (
	Null Kind = iota
	Bool
	Int
	Long
	Double
	Text
	Bytes
	List
	Map
	Values // all values of one name of a Multi: a list
	Multi  // names with several values each: headers, query parameters
	Object // a variable with members of its own: request, message
	Time   // a date, a time, or both
	opaque // what only methods take: a formatter, an encoder
)

var kindNames = [...]string{"null", "boolean", "integer", "long", "double", "text", "bytes", "list", "map", "list", "multi-map",
	"object", "date", "object"}

// String names the kind in messages.
func (k Kind) String() string { return kindNames[k] }

// Value is a value of the language: a tagged union that holds everything but lists and maps in itself. The zero value is
// null.
//
// A value that a Scope returns may view memory that lives only as long as the exchange or message (View); what Eval
// returns owns its memory.
type Value struct {
	kind Kind
	view bool   // text or ref ends with the scope
	num  uint64 // of Bool, Int, Long and Double
	text string // of Text, and the name of Values
	ref  any    // pointer-shaped: []byte's holder, list, Mapping, Names, Members, *moment
}

// Sequence is a list.
type Sequence interface {
	Len() int
	At(i int) Value
}

// Mapping is a map with text keys.
type Mapping interface {
	Get(key string) (Value, bool)
	Len() int
	// Each calls f for each entry, in a stable order, until it returns false.
	Each(f func(key string, v Value) bool)
}

// Names is a map of names with several values each. It decides itself whether case matters.
type Names interface {
	// At returns the i-th value of the name.
	At(name string, i int) (string, bool)
	// Count is how many values the name has.
	Count(name string) int
	// Each calls f for each name once, in a stable order, until it returns false.
	Each(f func(name string) bool)
}

// Members is a variable that has members of its own.
type Members interface {
	// Member returns a member; false: there is none of that name.
	Member(name string) (Value, bool)
}

// OfBool returns a Bool.
func OfBool(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// OfInt returns an integer: an Int where 32 bits hold it, else a Long.
func OfInt(n int64) Value {
	if n == int64(int32(n)) {
		return Value{kind: Int, num: uint64(n)}
	}
	return Value{kind: Long, num: uint64(n)}
}

// OfLong returns a Long.
func OfLong(n int64) Value { return Value{kind: Long, num: uint64(n)} }

// OfDouble returns a Double.
func OfDouble(f float64) Value { return Value{kind: Double, num: math.Float64bits(f)} }

// OfText returns a text that stays as it is.
func OfText(s string) Value { return Value{kind: Text, text: s} }

// ViewText returns a text whose memory the scope owns: it is copied before an evaluation returns it.
func ViewText(b []byte) Value { return Value{kind: Text, text: viewString(b), view: true} }

// OfList returns a list; it must not be changed any more.
func OfList(items []Value) Value { return Value{kind: List, ref: (*valueList)(&items)} }

// OfTexts returns a list of texts; it must not be changed any more.
func OfTexts(items []string) Value { return Value{kind: List, ref: (*textList)(&items)} }

// OfSequence returns a list.
func OfSequence(s Sequence) Value { return Value{kind: List, ref: s} }

// OfMap returns a map that stays as it is.
func OfMap(m Mapping) Value { return Value{kind: Map, ref: m} }

// ViewMap returns a map whose memory the scope owns.
func ViewMap(m Mapping) Value { return Value{kind: Map, ref: m, view: true} }

// OfNames returns a map of names with several values each.
func OfNames(n Names) Value { return Value{kind: Multi, ref: n, view: true} }

// OfMembers returns a variable with members.
func OfMembers(m Members) Value { return Value{kind: Object, ref: m, view: true} }

// OfTime returns a moment in its zone.
func OfTime(t time.Time) Value { return Value{kind: Time, ref: &moment{at: t, class: zonedDateTime}} }

func ofBytes(b []byte) Value { return Value{kind: Bytes, ref: &b} }

// Kind is the type of v.
func (v Value) Kind() Kind { return v.kind }

// IsNull tells whether v is null.
func (v Value) IsNull() bool { return v.kind == Null }

// Bool is the value of a Bool.
func (v Value) Bool() bool { return v.num != 0 }

// Int is the value of an Int or a Long.
func (v Value) Int() int64 { return int64(v.num) }

// Text is the value of a Text.
func (v Value) Text() string { return v.text }

// Float is the value of a number of any kind.
func (v Value) Float() float64 {
	if v.kind == Double {
		return math.Float64frombits(v.num)
	}
	return float64(int64(v.num))
}

func (v Value) isNumber() bool { return v.kind == Int || v.kind == Long || v.kind == Double }
func (v Value) isWhole() bool  { return v.kind == Int || v.kind == Long }
func (v Value) isList() bool   { return v.kind == List || v.kind == Values }
func (v Value) bytes() []byte  { return *v.ref.(*[]byte) }
func (v Value) names() Names   { return v.ref.(Names) }
func (v Value) mapping() Mapping {
	return v.ref.(Mapping)
}

// Len is how many elements a list or map has.
func (v Value) Len() int {
	switch v.kind {
	case List:
		return v.ref.(Sequence).Len()
	case Values:
		return v.names().Count(v.text)
	case Map:
		return v.mapping().Len()
	case Multi:
		n := 0
		v.names().Each(func(string) bool { n++; return true })
		return n
	}
	return 0
}

// At is the i-th element of a list; i must be in range.
func (v Value) At(i int) Value {
	if v.kind == Values {
		s, _ := v.names().At(v.text, i)
		return Value{kind: Text, text: s, view: v.view}
	}
	e := v.ref.(Sequence).At(i)
	e.view = e.view || v.view
	return e
}

// key returns what a map of either kind has under a name; null: nothing.
func (v Value) key(name string) Value {
	if v.kind == Multi {
		if _, ok := v.names().At(name, 0); !ok {
			return Value{}
		}
		return Value{kind: Values, text: name, ref: v.ref, view: v.view}
	}
	e, _ := v.mapping().Get(name)
	e.view = e.view || v.view
	return e
}

type valueList []Value

func (l *valueList) Len() int       { return len(*l) }
func (l *valueList) At(i int) Value { return (*l)[i] }

type textList []string

func (l *textList) Len() int       { return len(*l) }
func (l *textList) At(i int) Value { return OfText((*l)[i]) }

// own returns v in memory of its own, so that it outlives the scope.
func (v Value) own() (Value, error) {
	if !v.view {
		return v, nil
	}
	switch v.kind {
	case Text:
		return OfText(strings.Clone(v.text)), nil
	case List, Values:
		items := make([]Value, v.Len())
		for i := range items {
			var err error
			if items[i], err = v.At(i).own(); err != nil {
				return Value{}, err
			}
		}
		return OfList(items), nil
	case Map:
		return v.ownMap()
	case Multi:
		m := new(Dict)
		v.names().Each(func(name string) bool {
			list, _ := v.key(name).own()
			m.put(strings.Clone(name), list)
			return true
		})
		return OfMap(m), nil
	case Object:
		return Value{}, faultf(CodeConversion, "a variable as a whole is not a value; name one of its members")
	}
	v.view = false
	return v, nil
}

func (v Value) ownMap() (Value, error) {
	m := new(Dict)
	var failed error
	v.mapping().Each(func(key string, e Value) bool {
		e.view = true
		if e, failed = e.own(); failed != nil {
			return false
		}
		m.put(strings.Clone(key), e)
		return true
	})
	return OfMap(m), failed
}

// Any returns v as policies and connectors keep it in attributes: nil, bool, int64, float64, string, []byte, []any,
// map[string]any or time.Time.
func (v Value) Any() any {
	switch v.kind {
	case Bool:
		return v.Bool()
	case Int, Long:
		return v.Int()
	case Double:
		return v.Float()
	case Text:
		return v.text
	case Bytes:
		return slices.Clone(v.bytes())
	case List, Values:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = v.At(i).Any()
		}
		return out
	case Map:
		out := make(map[string]any, v.Len())
		v.mapping().Each(func(key string, e Value) bool { out[key] = e.Any(); return true })
		return out
	case Multi:
		out := make(map[string]any)
		v.names().Each(func(name string) bool { out[name] = v.key(name).Any(); return true })
		return out
	case Time:
		return v.ref.(*moment).at
	}
	return nil
}

// Each calls f for each entry of a map, in a stable order, until it returns false.
func (v Value) Each(f func(key string, e Value) bool) {
	if v.kind == Map || v.kind == Multi {
		eachEntry(v, f)
	}
}

// String is v as text, for messages and logs; what has no text is the name of its kind.
func (v Value) String() string {
	b, err := appendJava(nil, v)
	if err != nil {
		return v.kind.String()
	}
	return string(b)
}
