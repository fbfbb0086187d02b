package el

type list struct{ items []node }

func (n *list) each(f func(node)) {
	for _, i := range n.items {
		f(i)
	}
}

func (n *list) eval(m *machine) (Value, error) {
	items := make([]Value, len(n.items))
	view := false
	for i, item := range n.items {
		v, err := item.eval(m)
		if err != nil {
			return v, err
		}
		items[i] = v
		view = view || v.view
	}
	v := OfList(items)
	v.view = view
	return v, nil
}

type dict struct {
	at           int
	keys, values []node
}

func (n *dict) each(f func(node)) {
	for i := range n.keys {
		f(n.keys[i])
		f(n.values[i])
	}
}

func (n *dict) eval(m *machine) (Value, error) {
	d := new(Dict)
	view := false
	for i := range n.keys {
		k, err := n.keys[i].eval(m)
		if err != nil {
			return k, err
		}
		name, err := m.text(k)
		if err != nil {
			return Value{}, m.fail(n.at, err)
		}
		v, err := n.values[i].eval(m)
		if err != nil {
			return v, err
		}
		view = view || v.view || k.view
		d.put(name, v)
	}
	v := OfMap(d)
	v.view = view
	return v, nil
}

// selection takes elements out of a list or map for which what holds (mode ?), the first (^) or last ($) of them, or makes
// another list of what it gives for them (mode !).
type selection struct {
	at   int
	of   node
	mode byte
	what node
	safe bool
	null *Error
}

func (n *selection) each(f func(node)) { f(n.of); f(n.what) }

func (n *selection) eval(m *machine) (Value, error) {
	of, err := n.of.eval(m)
	if err != nil {
		return of, err
	}
	switch {
	case of.kind == Null && n.safe:
		return of, nil
	case of.kind == Null:
		return of, n.null
	case of.isList():
		return n.overList(m, of)
	case of.kind == Map || of.kind == Multi:
		return n.overMap(m, of)
	}
	return Value{}, m.fail(n.at, faultf(CodeType, "a selection from a %s", of.kind))
}

// look evaluates the inner expression for one element.
func (n *selection) look(m *machine, element Value) (v Value, ok bool, err error) {
	if err := m.step(n.at, 1); err != nil {
		return v, false, err
	}
	m.this = append(m.this, element)
	v, err = n.what.eval(m)
	m.this = m.this[:len(m.this)-1]
	if err != nil || n.mode == '!' {
		return v, err == nil, err
	}
	ok, err = m.condition(n.at, v)
	return element, ok, err
}

func (n *selection) overList(m *machine, of Value) (Value, error) {
	var items []Value
	view := of.view
	for i := range of.Len() {
		at := i
		if n.mode == '$' {
			at = of.Len() - 1 - i
		}
		v, ok, err := n.look(m, of.At(at))
		switch {
		case err != nil:
			return Value{}, err
		case !ok:
			continue
		case n.mode == '^' || n.mode == '$':
			return v, nil
		}
		if items = append(items, v); len(items) > maxItems {
			return Value{}, m.fail(n.at, faultf(CodeSize, "a list of more than %d elements", maxItems))
		}
		view = view || v.view
	}
	if n.mode == '^' || n.mode == '$' {
		return Value{}, nil
	}
	v := OfList(items)
	v.view = view
	return v, nil
}

// entry is one entry of a map, as selections see it.
type entry struct {
	key   string
	value Value
}

// Member implements Members.
func (e *entry) Member(name string) (Value, bool) {
	switch name {
	case "key":
		return OfText(e.key), true
	case "value":
		return e.value, true
	}
	return Value{}, false
}

func (n *selection) overMap(m *machine, of Value) (Value, error) {
	out, items, view := new(Dict), []Value(nil), of.view
	var failed error
	eachEntry(of, func(key string, value Value) bool {
		e := &entry{key, value}
		v, ok, err := n.look(m, Value{kind: Object, ref: e, view: true})
		if err != nil {
			failed = err
			return false
		}
		if !ok {
			return true
		}
		if n.mode == '!' {
			items = append(items, v)
			view = view || v.view
			return true
		}
		if n.mode == '$' {
			out = new(Dict)
		}
		out.put(key, value)
		return n.mode != '^'
	})
	if failed != nil {
		return Value{}, failed
	}
	v := OfMap(out)
	if n.mode == '!' {
		v = OfList(items)
	}
	v.view = view
	return v, nil
}

// eachEntry calls f for each entry of a map of either kind until it returns false.
func eachEntry(of Value, f func(key string, v Value) bool) {
	if of.kind == Multi {
		of.names().Each(func(name string) bool { return f(name, of.key(name)) })
		return
	}
	of.mapping().Each(func(key string, v Value) bool {
		v.view = v.view || of.view
		return f(key, v)
	})
}
