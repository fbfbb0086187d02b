package el

type methodCall = func(m *machine, n *call, self Value, args []Value) (Value, error)

// of makes a method without arguments.
func of(f func(self Value) Value) impl {
	return impl{0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) { return f(self), nil }}
}

// named makes a method of a name.
func named(f func(self Value, name string) Value) impl {
	return impl{1, 1, func(m *machine, _ *call, self Value, a []Value) (Value, error) {
		if a[0].kind == Null {
			return f(self, ""), nil
		}
		name, err := m.text(a[0])
		if err != nil {
			return Value{}, err
		}
		return f(self, name), nil
	}}
}

func size(v Value) Value { return OfInt(int64(v.Len())) }
func empty(v Value) Value {
	return OfBool(v.Len() == 0)
}

func end(at func(n int) int) methodCall {
	return func(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
		if self.Len() == 0 {
			return Value{}, &fault{code: CodeIndex, text: "the list is empty"}
		}
		return self.At(at(self.Len())), nil
	}
}

var listMethods = map[string]impl{
	"size":     of(size),
	"isEmpty":  of(empty),
	"getFirst": {0, 0, end(func(int) int { return 0 })},
	"getLast":  {0, 0, end(func(n int) int { return n - 1 })},
	"get": {1, 1, func(m *machine, _ *call, self Value, a []Value) (Value, error) {
		return (&index{}).take(m, self, a[0])
	}},
	"contains": {1, 1, func(m *machine, n *call, self Value, a []Value) (Value, error) {
		i, err := find(m, n, self, a[0])
		return OfBool(i >= 0), err
	}},
	"containsAll": {1, 1, func(m *machine, n *call, self Value, a []Value) (Value, error) {
		if !a[0].isList() {
			return Value{}, faultf(CodeType, "containsAll wants a list")
		}
		for i := range a[0].Len() {
			if at, err := find(m, n, self, a[0].At(i)); err != nil || at < 0 {
				return OfBool(false), err
			}
		}
		return OfBool(true), nil
	}},
	"indexOf": {1, 1, func(m *machine, n *call, self Value, a []Value) (Value, error) {
		i, err := find(m, n, self, a[0])
		return OfInt(int64(i)), err
	}},
}

// find returns the place of what equals an element; -1: nothing does.
func find(m *machine, n *call, self, want Value) (int, error) {
	for i := range self.Len() {
		if err := m.step(n.at, 1); err != nil {
			return 0, err
		}
		if equal(self.At(i), want, m.strict) {
			return i, nil
		}
	}
	return -1, nil
}

var mapMethods = map[string]impl{
	"size":        of(size),
	"isEmpty":     of(empty),
	"get":         named(Value.key),
	"containsKey": named(hasKey),
	"getOrDefault": {2, 2, func(m *machine, _ *call, self Value, a []Value) (Value, error) {
		name, err := argText(m, a[0])
		if err != nil || !hasKey(self, name).Bool() {
			return a[1], err
		}
		return self.key(name), nil
	}},
	"containsValue": {1, 1, func(m *machine, _ *call, self Value, a []Value) (Value, error) {
		found := false
		eachEntry(self, func(_ string, v Value) bool { found = equal(v, a[0], m.strict); return !found })
		return OfBool(found), nil
	}},
	"keySet": {0, 0, keys},
	"values": {0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
		return gather(self, func(_ string, v Value) Value { return v })
	}},
	"entrySet": {0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
		return gather(self, func(key string, v Value) Value { return OfMembers(&entry{key, v}) })
	}},
}

func hasKey(self Value, name string) Value {
	if self.kind == Multi {
		_, ok := self.names().At(name, 0)
		return OfBool(ok)
	}
	_, ok := self.mapping().Get(name)
	return OfBool(ok)
}

func keys(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
	return gather(self, func(key string, _ Value) Value { return Value{kind: Text, text: key, view: self.view} })
}

func gather(self Value, f func(key string, v Value) Value) (Value, error) {
	var items []Value
	eachEntry(self, func(key string, v Value) bool {
		items = append(items, f(key, v))
		return len(items) <= maxItems
	})
	if len(items) > maxItems {
		return Value{}, faultf(CodeSize, "a list of more than %d elements", maxItems)
	}
	v := OfList(items)
	v.view = true
	return v, nil
}

func first(self Value, name string) Value {
	s, ok := self.names().At(name, 0)
	if !ok {
		return Value{}
	}
	return Value{kind: Text, text: s, view: true}
}

// lister is a Names whose get returns all values, as that of query parameters does; get of headers returns the first.
type lister interface{ getReturnsList() }

var multiMethods = map[string]impl{
	"size":        of(size),
	"isEmpty":     of(empty),
	"getFirst":    named(first),
	"getAll":      named(Value.key),
	"containsKey": named(hasKey),
	"contains":    named(hasKey),
	"names":       {0, 0, keys},
	"keySet":      {0, 0, keys},
	"get": named(func(self Value, name string) Value {
		if _, ok := self.ref.(lister); ok {
			return self.key(name)
		}
		return first(self, name)
	}),
	"getOrDefault": mapMethods["getOrDefault"],
	"containsAllKeys": {1, 1, func(m *machine, _ *call, self Value, a []Value) (Value, error) {
		if !a[0].isList() {
			return Value{}, faultf(CodeType, "containsAllKeys wants a list")
		}
		for i := range a[0].Len() {
			name, err := argText(m, a[0].At(i))
			if err != nil || !hasKey(self, name).Bool() {
				return OfBool(false), err
			}
		}
		return OfBool(true), nil
	}},
	"toSingleValueMap": of(func(self Value) Value {
		d := new(Dict)
		self.names().Each(func(name string) bool { d.put(name, first(self, name)); return true })
		return ViewMap(d)
	}),
}

// getter is a bean property of a value that is no map: the methods isEmpty and getBytes without their prefix, and those of
// dates.
func getter(of Value, name string) (Value, bool) {
	switch {
	case name == "empty" && of.kind == Text:
		return OfBool(of.text == ""), true
	case name == "empty" && of.isList():
		return empty(of), true
	case name == "bytes" && of.kind == Text:
		return ofBytes([]byte(of.text)), true
	case name == "length" && of.kind == Bytes:
		return OfInt(int64(len(of.bytes()))), true
	case of.kind == Time:
		return of.ref.(*moment).field(name)
	}
	return Value{}, false
}

// objectMethods are those of objects that say themselves what they can do.
var objectMethods = map[string]impl{
	"getKey": invoke("getKey", 0, 0), "getValue": invoke("getValue", 0, 0),
	"get":    invoke("get", 1, 2),
	"encode": invoke("encode", 1, 1), "encodeToString": invoke("encodeToString", 1, 1), "decode": invoke("decode", 1, 1),
	"withoutPadding": invoke("withoutPadding", 0, 0),
	"format":         invoke("format", 1, 1), "parse": invoke("parse", 1, 1),
}

// caller is an object with methods of its own, all on the allow-list.
type caller interface {
	// invoke calls a method; false: it has none of that name.
	invoke(m *machine, name string, args []Value) (Value, bool, error)
}

func invoke(name string, min, max int) impl {
	return impl{min, max, func(m *machine, n *call, self Value, a []Value) (Value, error) {
		if c, ok := self.ref.(caller); ok {
			if v, ok, err := c.invoke(m, name, a); ok {
				return v, err
			}
		}
		return Value{}, faultf(CodeType, "this object has no method %s", n.name)
	}}
}

func (e *entry) invoke(_ *machine, name string, _ []Value) (Value, bool, error) {
	switch name {
	case "getKey":
		return OfText(e.key), true, nil
	case "getValue":
		return e.value, true, nil
	}
	return Value{}, false, nil
}
