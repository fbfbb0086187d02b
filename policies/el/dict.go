package el

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Dict is a map that keeps its entries in the order in which they came.
type Dict struct {
	keys   []string
	values []Value
	places map[string]int // nil while there are few
}

// few is up to how many keys looking at each is faster than hashing.
const few = 8

func (d *Dict) put(key string, v Value) {
	if i := d.place(key); i >= 0 {
		d.values[i] = v
		return
	}
	d.keys, d.values = append(d.keys, key), append(d.values, v)
	if d.places != nil {
		d.places[key] = len(d.keys) - 1
	} else if len(d.keys) > few {
		d.places = make(map[string]int, 2*len(d.keys))
		for i, k := range d.keys {
			d.places[k] = i
		}
	}
}

func (d *Dict) place(key string) int {
	if d.places == nil {
		return slices.Index(d.keys, key)
	}
	if i, ok := d.places[key]; ok {
		return i
	}
	return -1
}

// Get implements Mapping.
func (d *Dict) Get(key string) (Value, bool) {
	if i := d.place(key); i >= 0 {
		return d.values[i], true
	}
	return Value{}, false
}

// Len implements Mapping.
func (d *Dict) Len() int { return len(d.keys) }

// Each implements Mapping.
func (d *Dict) Each(f func(key string, v Value) bool) {
	for i, k := range d.keys {
		if !f(k, d.values[i]) {
			return
		}
	}
}

// TextMap is a map of texts, as subscription metadata and API properties are.
type TextMap map[string]string

// Get implements Mapping.
func (m TextMap) Get(key string) (Value, bool) {
	s, ok := m[key]
	if !ok {
		return Value{}, false
	}
	return OfText(s), true
}

// Len implements Mapping.
func (m TextMap) Len() int { return len(m) }

// Each implements Mapping, in the order of keys.
func (m TextMap) Each(f func(key string, v Value) bool) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !f(k, OfText(m[k])) {
			return
		}
	}
}

// AnyMap is a map of anything, as attributes are.
type AnyMap map[string]any

// Get implements Mapping.
func (m AnyMap) Get(key string) (Value, bool) {
	v, ok := m[key]
	if !ok {
		return Value{}, false
	}
	return Of(v), true
}

// Len implements Mapping.
func (m AnyMap) Len() int { return len(m) }

// Each implements Mapping, in the order of keys.
func (m AnyMap) Each(f func(key string, v Value) bool) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !f(k, Of(m[k])) {
			return
		}
	}
}

// Of returns the value of what Go code keeps in attributes. What has no kind of its own becomes text.
func Of(x any) Value {
	switch x := x.(type) {
	case nil:
		return Value{}
	case Value:
		return x
	case string:
		return OfText(x)
	case bool:
		return OfBool(x)
	case int:
		return OfInt(int64(x))
	case int32:
		return OfInt(int64(x))
	case int64:
		return OfLong(x)
	case float64:
		return OfDouble(x)
	case []byte:
		return ofBytes(x)
	}
	return ofCollection(x)
}

func ofCollection(x any) Value {
	switch x := x.(type) {
	case []string:
		return OfTexts(x)
	case []any:
		items := make([]Value, len(x))
		for i := range x {
			items[i] = Of(x[i])
		}
		return OfList(items)
	case map[string]any:
		return OfMap(AnyMap(x))
	case map[string]string:
		return OfMap(TextMap(x))
	case Mapping:
		return OfMap(x)
	case Sequence:
		return OfSequence(x)
	case time.Time:
		return OfTime(x)
	}
	return OfText(fmt.Sprint(x))
}
