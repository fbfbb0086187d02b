package el

import "sync"

// machine is one evaluation. It is pooled: what it keeps between evaluations is memory, never values.
type machine struct {
	scope  Scope
	tmpl   *Template
	steps  int
	this   []Value    // the element of each selection that is being made
	args   []Value    // of the calls that are being made
	buf    []byte     // of the text that is being made
	own    *Documents // where the scope keeps none; made when a document is read
	strict bool
}

var machines = sync.Pool{New: func() any { return new(machine) }}

// maxKept bounds the buffer that a pooled machine keeps, in bytes.
const maxKept = 64 << 10

func (t *Template) start(scope Scope) *machine {
	m := machines.Get().(*machine)
	m.scope, m.tmpl, m.strict, m.steps = scope, t, t.strict, 0
	return m
}

func (m *machine) release() {
	// Whatever is beyond the length was an argument or an element once, and would keep memory alive.
	clear(m.this[:cap(m.this)])
	clear(m.args[:cap(m.args)])
	if cap(m.buf) > maxKept {
		m.buf = nil
	}
	*m = machine{this: m.this[:0], args: m.args[:0], buf: m.buf[:0]}
	machines.Put(m)
}

// step counts n parts evaluated.
func (m *machine) step(at, n int) error {
	if err := m.spend(n); err != nil {
		return m.fail(at, err)
	}
	return nil
}

// spend is step where the place is not known.
func (m *machine) spend(n int) error {
	if m.steps += n; m.steps > maxSteps {
		return tooManySteps
	}
	return nil
}

var tooManySteps = faultf(CodeSteps, "the evaluation takes more than %d steps", maxSteps)

// fail gives an error its place. What has one already keeps it.
func (m *machine) fail(at int, err error) error {
	f, ok := err.(*fault)
	if !ok {
		return err
	}
	e := errorAt(m.tmpl.src, at, f.code, f.text, f.hint)
	e.Err = f.err
	return e
}

// documents returns where parsed documents are kept: with the scope where it keeps them, else for this evaluation.
func (m *machine) documents() *Documents {
	if d := m.scope.Documents(); d != nil {
		return d
	}
	if m.own == nil {
		m.own = new(Documents)
	}
	return m.own
}

// arguments evaluates arguments onto the stack and returns them; drop must be called with what len(m.args) was before.
func (m *machine) arguments(nodes []node) ([]Value, error) {
	from := len(m.args)
	for _, n := range nodes {
		v, err := n.eval(m)
		if err != nil {
			return nil, err
		}
		m.args = append(m.args, v)
	}
	return m.args[from:len(m.args):len(m.args)], nil
}

// text is v as a text, made in memory that the evaluation shares where v is not one already.
func (m *machine) text(v Value) (string, error) {
	if v.kind == Text {
		return v.text, nil
	}
	if v.kind == Values && v.Len() == 1 {
		return v.At(0).text, nil
	}
	b, err := appendText(nil, v)
	return string(b), err
}
