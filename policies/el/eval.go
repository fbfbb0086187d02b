package el

import "math"

// Eval returns the value of the text: that of its expression, with its type, where it is exactly one, else text. The value
// owns its memory. Every error is an *Error.
func (t *Template) Eval(scope Scope) (Value, error) {
	if t.Constant() {
		return OfText(t.src), nil
	}
	m := t.start(scope)
	defer m.release()
	if !t.whole {
		dst, err := t.append(m, nil)
		return OfText(string(dst)), err
	}
	v, err := t.parts[0].node.eval(m)
	if err != nil {
		return Value{}, err
	}
	v, err = v.own()
	if err != nil {
		return Value{}, m.fail(t.parts[0].at, err)
	}
	return v, nil
}

// EvalBool returns the text as a condition; null is false.
func (t *Template) EvalBool(scope Scope) (bool, error) {
	if t.Constant() {
		return t.constantBool()
	}
	m := t.start(scope)
	defer m.release()
	v, err := t.value(m)
	if err != nil || v.kind == Null {
		return false, err
	}
	if v.kind == Bool {
		return v.Bool(), nil
	}
	b, err := toBool(v)
	if err != nil {
		return false, m.fail(t.parts[0].at, err)
	}
	return b, nil
}

func (t *Template) constantBool() (bool, error) {
	b, err := toBool(OfText(t.src))
	if err != nil {
		return false, errorAt(t.src, 0, CodeConversion, err.Error(), "an expression stands in braces")
	}
	return b, nil
}

// EvalInt returns the text as an integer; ok false: it is null.
func (t *Template) EvalInt(scope Scope) (n int64, ok bool, err error) {
	m := t.start(scope)
	defer m.release()
	v, err := t.value(m)
	if err != nil || v.kind == Null {
		return 0, false, err
	}
	if n, err = toLong(v); err != nil {
		return 0, false, m.fail(t.parts[0].at, err)
	}
	return n, true, nil
}

// EvalInt32 is EvalInt for what must fit 32 bits.
func (t *Template) EvalInt32(scope Scope) (n int32, ok bool, err error) {
	long, ok, err := t.EvalInt(scope)
	if err == nil && (long > math.MaxInt32 || long < math.MinInt32) {
		return 0, false, errorAt(t.src, t.parts[0].at, CodeConversion, "the number does not fit 32 bits", "")
	}
	return int32(long), ok, err
}

// EvalString returns the text with its expressions replaced; ok false: it is one expression, and that is null.
func (t *Template) EvalString(scope Scope) (s string, ok bool, err error) {
	if t.Constant() {
		return t.src, true, nil
	}
	m := t.start(scope)
	defer m.release()
	if t.whole {
		v, err := t.value(m)
		if err != nil || v.kind == Null {
			return "", false, err
		}
		if v.kind == Text && !v.view {
			return v.text, true, nil
		}
		dst, err := appendText(nil, v)
		if err != nil {
			return "", false, m.fail(t.parts[0].at, err)
		}
		return string(dst), true, nil
	}
	dst, err := t.append(m, nil)
	return string(dst), err == nil, err
}

// AppendString appends the text with its expressions replaced; null is nothing. Where it fails, dst is returned as it was.
func (t *Template) AppendString(dst []byte, scope Scope) ([]byte, error) {
	if t.Constant() {
		return append(dst, t.src...), nil
	}
	m := t.start(scope)
	defer m.release()
	out, err := t.append(m, dst)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// value is the value of the text, in memory of the scope.
func (t *Template) value(m *machine) (Value, error) {
	switch {
	case t.Constant():
		return OfText(t.src), nil
	case t.whole:
		return t.parts[0].node.eval(m)
	}
	dst, err := t.append(m, nil)
	return OfText(string(dst)), err
}

func (t *Template) append(m *machine, dst []byte) ([]byte, error) {
	start := len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		if p.node == nil {
			dst = append(dst, p.text...)
			continue
		}
		v, err := p.node.eval(m)
		if err == nil {
			dst, err = appendText(dst, v)
		}
		if err == nil && len(dst)-start > maxResult {
			err = faultf(CodeSize, "a text of more than %d bytes", maxResult)
		}
		if err != nil {
			return nil, m.fail(p.at, err)
		}
	}
	return dst, nil
}
