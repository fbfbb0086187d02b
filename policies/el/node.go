package el

// node is a part of an expression. Nodes do not change once parsed, except for compiled patterns they keep.
type node interface {
	eval(m *machine) (Value, error)
	// print appends the part in canonical form.
	print(dst []byte) []byte
	// each calls f for each part that it is made of.
	each(f func(node))
}

type literal struct {
	at int
	v  Value
}

func (n *literal) eval(*machine) (Value, error) { return n.v, nil }
func (n *literal) each(func(node))              {}

type variable struct {
	name string
	root Root
}

func (n *variable) eval(m *machine) (Value, error) { return m.scope.Variable(n.root, n.name), nil }
func (n *variable) each(func(node))                {}

// this is the element that a selection or projection looks at.
type this struct{ root bool }

func (n *this) eval(m *machine) (Value, error) {
	switch {
	case len(m.this) == 0:
		return Value{}, nil
	case n.root:
		return m.this[0], nil
	}
	return m.this[len(m.this)-1], nil
}
func (n *this) each(func(node)) {}

// typeNode is a class that something static is taken of; alone it has no value, and the parser lets it nowhere else.
type typeNode struct{ name string }

func (n *typeNode) eval(*machine) (Value, error) { return Value{}, nil }
func (n *typeNode) each(func(node))              {}

type constant struct {
	class, name string
	v           Value
}

func (n *constant) eval(*machine) (Value, error) { return n.v, nil }
func (n *constant) each(func(node))              {}

type member struct {
	at      int
	of      node
	name    string
	safe    bool
	bare    bool // a name alone: a member of the element, or a key
	outside bool // and there is no element
	null    *Error
}

func (n *member) each(f func(node)) { f(n.of) }

func (n *member) eval(m *machine) (Value, error) {
	of, err := n.of.eval(m)
	if err != nil {
		return of, err
	}
	if err := m.step(n.at, 1); err != nil {
		return Value{}, err
	}
	if of.kind == Null {
		if n.safe {
			return of, nil
		}
		return of, n.null
	}
	v, f := property(of, n.name)
	if f != nil {
		return Value{}, m.fail(n.at, f)
	}
	return v, nil
}

// property reads a member by its name.
func property(of Value, name string) (Value, *fault) {
	switch of.kind {
	case Map, Multi:
		return of.key(name), nil
	case Object:
		if v, ok := of.ref.(Members).Member(name); ok {
			return v, nil
		}
	case Text, Bytes, List, Values, Time:
		if v, ok := getter(of, name); ok {
			return v, nil
		}
	}
	return Value{}, faultf(CodeType, "a %s has no member %q", of.kind, name)
}

type index struct {
	at   int
	of   node
	key  node
	safe bool
	null *Error
}

func (n *index) each(f func(node)) { f(n.of); f(n.key) }

func (n *index) eval(m *machine) (Value, error) {
	of, err := n.of.eval(m)
	if err != nil {
		return of, err
	}
	if err := m.step(n.at, 1); err != nil {
		return Value{}, err
	}
	if of.kind == Null {
		if n.safe {
			return of, nil
		}
		return of, n.null
	}
	key, err := n.key.eval(m)
	if err != nil {
		return key, err
	}
	v, err := n.take(m, of, key)
	if err != nil {
		return Value{}, m.fail(n.at, err)
	}
	return v, nil
}

func (n *index) take(m *machine, of, key Value) (Value, error) {
	switch of.kind {
	case Map, Multi:
		if key.kind == Null {
			return Value{}, nil
		}
		name, err := m.text(key)
		if err != nil {
			return Value{}, err
		}
		return of.key(name), nil
	case List, Values:
		i, err := toLong(key)
		if err != nil {
			return Value{}, err
		}
		if size := of.Len(); i < 0 || i >= int64(size) {
			return Value{}, &fault{code: CodeIndex, text: "the index is out of range"}
		}
		return of.At(int(i)), nil
	case Text:
		i, err := toLong(key)
		if err != nil {
			return Value{}, err
		}
		return charAt(of, i)
	case Object:
		name, err := m.text(key)
		if err != nil {
			return Value{}, err
		}
		v, f := property(of, name)
		if f != nil {
			return v, f
		}
		return v, nil
	}
	return Value{}, faultf(CodeType, "a %s cannot be indexed", of.kind)
}

type call struct {
	at      int
	of      node
	name    string
	method  *method
	args    []node
	pattern *pattern // of a method whose first argument is one
	safe    bool
	null    *Error
}

func (n *call) each(f func(node)) {
	f(n.of)
	for _, a := range n.args {
		f(a)
	}
}

func (n *call) eval(m *machine) (Value, error) {
	of, err := n.of.eval(m)
	if err != nil {
		return of, err
	}
	if err := m.step(n.at, 1+len(of.text)/bytesPerStep); err != nil {
		return Value{}, err
	}
	if of.kind == Null {
		if n.safe {
			return of, nil
		}
		return of, n.null
	}
	from := len(m.args)
	args, err := m.arguments(n.args)
	if err == nil {
		var v Value
		if v, err = n.method.call(m, n, of, args); err == nil {
			m.args = m.args[:from]
			return v, nil
		}
	}
	m.args = m.args[:from]
	return Value{}, m.fail(n.at, err)
}

type static struct {
	at          int
	class, name string
	f           *staticMethod
	args        []node
}

func (n *static) each(f func(node)) {
	for _, a := range n.args {
		f(a)
	}
}

func (n *static) eval(m *machine) (Value, error) {
	if err := m.step(n.at, 1); err != nil {
		return Value{}, err
	}
	from := len(m.args)
	args, err := m.arguments(n.args)
	var v Value
	if err == nil {
		v, err = n.f.call(m, args)
	}
	m.args = m.args[:from]
	if err != nil {
		return Value{}, m.fail(n.at, err)
	}
	return v, nil
}

type function struct {
	at    int
	name  string
	f     *builtin
	args  []node
	query query
}

func (n *function) each(f func(node)) {
	for _, a := range n.args {
		f(a)
	}
}

func (n *function) eval(m *machine) (Value, error) {
	if err := m.step(n.at, 1); err != nil {
		return Value{}, err
	}
	from := len(m.args)
	args, err := m.arguments(n.args)
	var v Value
	if err == nil {
		v, err = n.f.call(m, n, args)
	}
	m.args = m.args[:from]
	if err != nil {
		return Value{}, m.fail(n.at, err)
	}
	return v, nil
}
