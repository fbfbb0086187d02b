package script

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/qos/message"
)

// headers are those of a request, an answer or a message. Names are compared without case.
type headers interface {
	all(name string) []string
	set(name, value string)
	add(name, value string)
	del(name string)
	names() []string
}

type requestHeaders struct{ *fasthttp.RequestHeader }

func (h requestHeaders) all(name string) []string { return texts(h.PeekAll(name)) }
func (h requestHeaders) set(name, value string)   { h.Set(name, value) }
func (h requestHeaders) add(name, value string)   { h.Add(name, value) }
func (h requestHeaders) del(name string)          { h.Del(name) }
func (h requestHeaders) names() []string          { return texts(h.PeekKeys()) }

type responseHeaders struct{ *fasthttp.ResponseHeader }

func (h responseHeaders) all(name string) []string { return texts(h.PeekAll(name)) }
func (h responseHeaders) set(name, value string)   { h.Set(name, value) }
func (h responseHeaders) add(name, value string)   { h.Add(name, value) }
func (h responseHeaders) del(name string)          { h.Del(name) }
func (h responseHeaders) names() []string          { return texts(h.PeekKeys()) }

func texts(values [][]byte) (out []string) {
	for _, v := range values {
		out = append(out, string(v))
	}
	return out
}

// messageHeaders change the list of a message by replacing it: it may be shared.
type messageHeaders struct{ m *message.Message }

func (h messageHeaders) all(name string) (out []string) {
	for _, f := range h.m.Headers {
		if strings.EqualFold(f.Name, name) {
			out = append(out, string(f.Value))
		}
	}
	return out
}

func (h messageHeaders) set(name, value string) {
	h.del(name)
	h.m.Headers = append(h.m.Headers, message.Header{Name: name, Value: []byte(value)})
}

func (h messageHeaders) add(name, value string) {
	h.m.Headers = append(slices.Clip(h.m.Headers), message.Header{Name: name, Value: []byte(value)})
}

func (h messageHeaders) del(name string) {
	h.m.Headers = slices.DeleteFunc(slices.Clone(h.m.Headers), func(f message.Header) bool { return strings.EqualFold(f.Name, name) })
}

func (h messageHeaders) names() (out []string) {
	for _, f := range h.m.Headers {
		if !slices.ContainsFunc(out, func(n string) bool { return strings.EqualFold(n, f.Name) }) {
			out = append(out, f.Name)
		}
	}
	return out
}

// value makes a value of the script from one of ours, sharing nothing with it.
func (r *runtime) value(x any) goja.Value {
	switch x := x.(type) {
	case nil:
		return goja.Null()
	case string:
		r.take(perChar * len(x))
		return r.ToValue(x)
	case bool, int, int32, int64, uint32, float64:
		return r.ToValue(x)
	case []byte:
		return r.value(string(x))
	case []string:
		return r.list(len(x), func(i int) any { return x[i] })
	case []any:
		return r.list(len(x), func(i int) any { return x[i] })
	case map[string]string:
		return r.object(keys(x), func(k string) any { return x[k] })
	case map[string]any:
		return r.object(keys(x), func(k string) any { return x[k] })
	}
	return r.value(fmt.Sprint(x))
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (r *runtime) list(n int, at func(int) any) goja.Value {
	r.take(perObject + n*perPlace)
	out := make([]any, n)
	for i := range out {
		out[i] = r.value(at(i))
	}
	return r.NewArray(out...)
}

func (r *runtime) object(names []string, of func(string) any) goja.Value {
	r.take(perObject + len(names)*perPlace)
	o := r.NewObject()
	for _, k := range names {
		_ = o.Set(k, r.value(of(k)))
	}
	return o
}

// plain is a value of the script as attributes keep it. Functions and what refers to itself are kept as texts.
func plain(v goja.Value) any {
	if v == nil || goja.IsUndefined(v) || goja.IsNull(v) {
		return nil
	}
	if o, ok := v.(*goja.Object); ok {
		return plainObject(o, 0)
	}
	return v.Export()
}

func plainObject(o *goja.Object, depth int) any {
	if _, callable := goja.AssertFunction(o); callable || depth > maxNested {
		return o.String()
	}
	of := func(v goja.Value) any {
		if inner, ok := v.(*goja.Object); ok {
			return plainObject(inner, depth+1)
		}
		return plain(v)
	}
	switch o.ClassName() {
	case "Array":
		out := make([]any, elements(o))
		for i := range out {
			out[i] = of(o.Get(fmt.Sprint(i)))
		}
		return out
	case "Object":
		out := map[string]any{}
		for _, k := range o.Keys() {
			out[k] = of(o.Get(k))
		}
		return out
	}
	return o.String()
}
