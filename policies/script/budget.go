package script

import (
	"errors"
	"strconv"

	"github.com/dop251/goja"
)

// What is counted for what is made, in bytes: about what it costs here.
const (
	perObject = 256
	perPlace  = 32 // in an array, object, map or set
	perChar   = 2
	// maxElements bounds the arrays that the language's own functions walk through: they cannot be interrupted.
	maxElements = 1 << 20
)

// take counts n bytes. Where there are no more, the run ends: what is thrown here could be caught by the script, the
// interruption that follows it cannot.
func (r *runtime) take(n int) {
	if r.left -= n; r.left < 0 {
		r.stop()
	}
}

func (r *runtime) stop() {
	r.left = -1
	r.Interrupt(ErrMemory)
	panic(r.NewTypeError(ErrMemory.Error()))
}

// check counts a value that the script made.
func (r *runtime) check(call goja.FunctionCall) goja.Value {
	v := call.Argument(0)
	r.take(weigh(v))
	return v
}

// entry counts a place in an array or object.
func (r *runtime) entry(call goja.FunctionCall) goja.Value {
	r.take(perPlace)
	return call.Argument(0)
}

// weigh is what a value costs, without what is in its places.
func weigh(v goja.Value) int {
	switch v := v.(type) {
	case goja.String:
		return perChar * v.Length()
	case *goja.Object:
		return perObject + perPlace*elements(v)
	}
	return 0
}

// elements is how many places an array has.
func elements(v goja.Value) int {
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() != "Array" {
		return 0
	}
	return int(o.Get("length").ToInteger())
}

// removed are globals whose use cannot be bounded, or counted.
var removed = []string{"eval", "Function", "BigInt", "ArrayBuffer", "SharedArrayBuffer", "DataView", "Int8Array", "Uint8Array", "Uint8ClampedArray",
	"Int16Array", "Uint16Array", "Int32Array", "Uint32Array", "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array", "Proxy", "WeakRef", "FinalizationRegistry"}

// constructors are ways to Function that are no globals.
const constructors = `[function(){}, function*(){}, async function(){}].forEach(function(f){
	Object.defineProperty(Object.getPrototypeOf(f), "constructor", {value: undefined, writable: false, configurable: false});
})`

// counted are functions whose results are counted, by their owners; before them, arrays that they walk through are measured.
var counted = map[string][]string{
	"String.prototype": {"concat", "replace", "replaceAll", "toUpperCase", "toLowerCase", "toLocaleUpperCase", "toLocaleLowerCase", "normalize", "split", "match", "matchAll"},
	"String":           {"raw"},
	"Array.prototype": {"concat", "copyWithin", "every", "fill", "filter", "find", "findIndex", "findLast", "findLastIndex", "flat", "flatMap", "forEach", "includes",
		"indexOf", "lastIndexOf", "map", "reduce", "reduceRight", "reverse", "slice", "some", "sort", "splice", "toLocaleString", "toReversed", "toSorted",
		"toSpliced", "with", "shift", "unshift", "push"},
	"Array":             {"from", "of"},
	"Object":            {"assign", "keys", "values", "entries", "fromEntries", "getOwnPropertyNames", "create", "groupBy"},
	"Map":               {"groupBy"},
	"JSON":              {"parse"},
	"Map.prototype":     {"set"},
	"Set.prototype":     {"add"},
	"WeakMap.prototype": {"set"},
	"WeakSet.prototype": {"add"},
	"RegExp.prototype":  {"exec"},
	"":                  {"encodeURI", "encodeURIComponent", "escape", "unescape"},
}

// confine takes from the runtime what cannot be bounded, and has the rest counted.
func (r *runtime) confine() error {
	if _, err := r.RunString(constructors); err != nil {
		return err
	}
	for owner, names := range counted {
		o := r.owner(owner)
		for _, name := range names {
			if err := r.wrap(o, name, r.measure(owner)); err != nil {
				return err
			}
		}
	}
	texts, arrays := r.owner("String.prototype"), r.owner("Array.prototype")
	for _, w := range []struct {
		of     *goja.Object
		name   string
		before func(goja.FunctionCall)
	}{
		{texts, "repeat", func(c goja.FunctionCall) { r.room(length(c.This) * max(c.Argument(0).ToInteger(), 0)) }},
		{texts, "padStart", func(c goja.FunctionCall) { r.room(c.Argument(0).ToInteger()) }},
		{texts, "padEnd", func(c goja.FunctionCall) { r.room(c.Argument(0).ToInteger()) }},
		{arrays, "join", r.beforeJoin},
		{arrays, "toString", r.beforeJoin},
		{r.owner("JSON"), "stringify", func(c goja.FunctionCall) {
			left := r.left
			r.size(c.Argument(0), &left, 0)
		}},
		{r.owner("Function.prototype"), "apply", func(c goja.FunctionCall) { r.walkable(c.Argument(1)) }},
		{r.owner("Reflect"), "apply", func(c goja.FunctionCall) { r.walkable(c.Argument(2)) }},
		{r.owner("Reflect"), "construct", func(c goja.FunctionCall) { r.walkable(c.Argument(1)) }},
	} {
		if err := r.wrap(w.of, w.name, w.before); err != nil {
			return err
		}
	}
	for _, name := range removed {
		if err := r.GlobalObject().Delete(name); err != nil {
			return err
		}
	}
	return nil
}

// owner finds the object of functions by its name.
func (r *runtime) owner(name string) *goja.Object {
	o := r.GlobalObject()
	for name != "" {
		var part string
		part, name = cut(name)
		o = o.Get(part).ToObject(r.Runtime)
	}
	return o
}

func cut(name string) (first, rest string) {
	for i := range len(name) {
		if name[i] == '.' {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// wrap puts before a function what measures its arguments, and behind it what counts its result.
func (r *runtime) wrap(o *goja.Object, name string, before func(goja.FunctionCall)) error {
	f, ok := goja.AssertFunction(o.Get(name))
	if !ok {
		return nil // this version of the language does not have it
	}
	wrapped := func(c goja.FunctionCall) goja.Value {
		if before != nil {
			before(c)
		}
		v, err := f(c.This, c.Arguments...)
		if thrown := (*goja.Exception)(nil); errors.As(err, &thrown) {
			panic(thrown.Value()) // the script's own, on its way
		} else if err != nil {
			panic(err)
		}
		r.take(weigh(v))
		return v
	}
	return o.DefineDataProperty(name, r.ToValue(wrapped), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
}

// measure is what is done before functions of an owner.
func (r *runtime) measure(owner string) func(goja.FunctionCall) {
	switch owner {
	case "Array.prototype":
		return func(c goja.FunctionCall) {
			r.walkable(c.This)
			r.take(perPlace * len(c.Arguments))
		}
	case "Array", "Object":
		return func(c goja.FunctionCall) { r.walkable(c.Argument(0)) }
	case "Map.prototype", "Set.prototype", "WeakMap.prototype", "WeakSet.prototype":
		return func(goja.FunctionCall) { r.take(2 * perPlace) }
	}
	return nil
}

// walkable refuses what a function of the language would take too long to walk through.
func (r *runtime) walkable(v goja.Value) {
	o, ok := v.(*goja.Object)
	if !ok {
		return
	}
	if n := o.Get("length"); n != nil && n.ToInteger() > maxElements {
		r.stop()
	}
}

// room refuses a text of n characters, where that is more than may be made.
func (r *runtime) room(n int64) {
	if n > int64(r.left/perChar) {
		r.stop()
	}
}

func length(v goja.Value) int64 {
	if s, ok := v.(goja.String); ok {
		return int64(s.Length())
	}
	return int64(len(v.String()))
}

// beforeJoin measures the texts that are joined; those of arrays within are measured when they are joined themselves.
func (r *runtime) beforeJoin(c goja.FunctionCall) {
	r.walkable(c.This)
	o, ok := c.This.(*goja.Object)
	if !ok {
		return
	}
	n, between := int64(elements(o)), int64(1)
	if s, ok := c.Argument(0).(goja.String); ok {
		between = int64(s.Length())
	}
	total := n * between
	r.room(total)
	for i := range n {
		if s, ok := o.Get(strconv.FormatInt(i, 10)).(goja.String); ok {
			total += int64(s.Length())
		}
	}
	r.room(total)
}

// maxNested bounds how deep size looks; what is deeper, or refers to itself, is the function's own to refuse.
const maxNested = 64

// size measures what JSON.stringify will write: an object that is referred to from many places is written in each.
func (r *runtime) size(v goja.Value, left *int, depth int) {
	const perMember = 4 // quotes, colon, comma
	*left -= perMember
	if s, ok := v.(goja.String); ok {
		*left -= perChar * s.Length()
	}
	if *left < 0 {
		r.stop()
	}
	o, ok := v.(*goja.Object)
	if !ok || depth > maxNested {
		return
	}
	for _, name := range o.Keys() {
		*left -= perChar * len(name)
		r.size(o.Get(name), left, depth+1)
	}
}
