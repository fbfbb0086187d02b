package script

import (
	"github.com/dop251/goja"
)

// headersOf is the member "headers" of something.
func (r *runtime) headersOf(of string, from func() headers) goja.Value {
	return r.field(of+".headers", func() goja.Value { return r.of(of+".headers.map", &headerMap{dynamic{r}, of, from}) })
}

// first is the member "header" of something: a function that gives the first value of a name.
func (r *runtime) first(of string, from func() headers) goja.Value {
	return r.method(of+".header", func(c goja.FunctionCall) goja.Value { return r.firstOf(from(), c.Argument(0).String()) })
}

func (r *runtime) firstOf(h headers, name string) goja.Value {
	if values := h.all(name); len(values) > 0 {
		return r.value(values[0])
	}
	return goja.Null()
}

// headerMap is headers, with methods and with their names as members.
type headerMap struct {
	dynamic
	of   string
	from func() headers
}

// Get implements goja.DynamicObject.
func (o *headerMap) Get(name string) goja.Value {
	if m := o.methodOf(name); m != nil {
		return m
	}
	if len(o.from().all(name)) == 0 {
		return nil
	}
	return o.r.firstOf(o.from(), name)
}

// methodOf returns a method; nil: there is none of that name.
func (o *headerMap) methodOf(name string) goja.Value {
	r := o.r
	var f func(h headers, c goja.FunctionCall) goja.Value
	switch name {
	case "get", "getFirst":
		f = func(h headers, c goja.FunctionCall) goja.Value { return r.firstOf(h, c.Argument(0).String()) }
	case "getAll":
		f = func(h headers, c goja.FunctionCall) goja.Value { return r.value(h.all(c.Argument(0).String())) }
	case "contains", "containsKey", "has":
		f = func(h headers, c goja.FunctionCall) goja.Value {
			return r.ToValue(len(h.all(c.Argument(0).String())) > 0)
		}
	case "set", "put":
		f = func(h headers, c goja.FunctionCall) goja.Value {
			return r.setHeader(h, c.Argument(0).String(), c.Argument(1))
		}
	case "add":
		f = func(h headers, c goja.FunctionCall) goja.Value {
			h.add(c.Argument(0).String(), c.Argument(1).String())
			return goja.Undefined()
		}
	case "remove":
		f = func(h headers, c goja.FunctionCall) goja.Value {
			h.del(c.Argument(0).String())
			return goja.Undefined()
		}
	case "names", "keySet":
		f = func(h headers, _ goja.FunctionCall) goja.Value { return r.value(h.names()) }
	case "size":
		f = func(h headers, _ goja.FunctionCall) goja.Value { return r.ToValue(len(h.names())) }
	default:
		return nil
	}
	return r.method(o.of+".headers."+name, func(c goja.FunctionCall) goja.Value { return f(o.from(), c) })
}

// setHeader sets a header to a value or a list of them; null removes it.
func (r *runtime) setHeader(h headers, name string, v goja.Value) goja.Value {
	if goja.IsNull(v) || goja.IsUndefined(v) {
		h.del(name)
		return goja.Undefined()
	}
	values, ok := plain(v).([]any)
	if !ok {
		h.set(name, v.String())
		return goja.Undefined()
	}
	h.del(name)
	for _, one := range values {
		h.add(name, r.ToValue(one).String())
	}
	return goja.Undefined()
}

// Set implements goja.DynamicObject.
func (o *headerMap) Set(name string, v goja.Value) bool {
	o.r.setHeader(o.from(), name, v)
	return true
}

// Delete implements goja.DynamicObject.
func (o *headerMap) Delete(name string) bool {
	o.from().del(name)
	return true
}

// Has implements goja.DynamicObject.
func (o *headerMap) Has(name string) bool {
	return len(o.from().all(name)) > 0 || o.methodOf(name) != nil
}

// Keys implements goja.DynamicObject.
func (o *headerMap) Keys() []string { return o.from().names() }

// attributesOf is a member that gives a copy of attributes.
func (r *runtime) attributesOf(name string, of func() map[string]any) goja.Value {
	return r.field(name, func() goja.Value { return r.value(of()) })
}
