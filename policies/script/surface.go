package script

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/sluice-gateway/sluice/qos/message"
)

// What a script may set result.state to.
const (
	success = "SUCCESS"
	failure = "FAILURE"
)

// surface makes what a script sees, once per runtime: everything asks the runtime for the subject of the run.
func (r *runtime) surface() []goja.Value {
	state := r.NewObject()
	_ = state.Set(success, success)
	_ = state.Set(failure, failure)
	r.encodings()
	args := []goja.Value{r.NewDynamicObject(&request{dynamic{r}}), r.NewDynamicObject(&response{dynamic{r}}), r.NewDynamicObject(&msg{dynamic{r}}),
		r.NewDynamicObject(&surroundings{dynamic{r}}), r.NewDynamicObject(&outcome{dynamic{r}}), state, r.console()}
	return args
}

// method makes a function that is made once.
func (r *runtime) method(name string, f func(goja.FunctionCall) goja.Value) goja.Value {
	o, ok := r.objects[name]
	if !ok {
		o = r.ToValue(f).ToObject(r.Runtime)
		r.objects[name] = o
	}
	return o
}

// of makes a dynamic object that is made once.
func (r *runtime) of(name string, d goja.DynamicObject) goja.Value {
	o, ok := r.objects[name]
	if !ok {
		o = r.NewDynamicObject(d)
		r.objects[name] = o
	}
	return o
}

// field is what a style gives for something that can be read: the value itself, or a function that gives it.
func (r *runtime) field(name string, get func() goja.Value) goja.Value {
	if r.program.options.Style == Fields {
		return get()
	}
	return r.method(name, func(goja.FunctionCall) goja.Value { return get() })
}

// dynamic is an object whose members come from Go. It takes none of the script's.
type dynamic struct{ r *runtime }

// Set implements goja.DynamicObject.
func (dynamic) Set(string, goja.Value) bool { return false }

// Delete implements goja.DynamicObject.
func (dynamic) Delete(string) bool { return false }

// Keys implements goja.DynamicObject.
func (dynamic) Keys() []string { return nil }

// Has implements goja.DynamicObject.
func (dynamic) Has(string) bool { return true }

// throw ends what the script does with an error that it can catch.
func (r *runtime) throw(format string, args ...any) {
	panic(r.NewTypeError(fmt.Sprintf(format, args...)))
}

// content is the member that reads and, in the style of methods, sets the content.
func (r *runtime) content(of string, get func() []byte, set func([]byte)) goja.Value {
	read := func() goja.Value {
		if !r.subject.Content {
			r.throw("the content of the %s is not read: set readContent to true", of)
		}
		return r.value(get())
	}
	if r.program.options.Style == Fields {
		return read()
	}
	return r.method(of+".content", func(c goja.FunctionCall) goja.Value {
		if len(c.Arguments) == 0 {
			return read()
		}
		if !r.subject.Content {
			r.throw("the content of the %s is not read: set readContent to true", of)
		}
		set([]byte(c.Argument(0).String()))
		r.subject.Context.Changed()
		return goja.Undefined()
	})
}

type outcome struct{ dynamic }

// Get implements goja.DynamicObject.
func (o *outcome) Get(name string) goja.Value {
	out := &o.r.outcome
	switch name {
	case "state":
		return o.r.ToValue(out.State)
	case "code":
		return o.r.ToValue(out.Code)
	case "error":
		return o.r.ToValue(out.Error)
	case "key":
		return o.r.ToValue(out.Key)
	case "contentType":
		return o.r.ToValue(out.ContentType)
	case "fail":
		return o.r.method("result.fail", func(c goja.FunctionCall) goja.Value {
			out := &o.r.outcome
			out.Failed, out.State = true, failure
			for i, to := range []*string{nil, &out.Error, &out.Key, &out.ContentType} {
				if v := c.Argument(i); to != nil && !goja.IsUndefined(v) && !goja.IsNull(v) {
					*to = v.String()
				}
			}
			if code := c.Argument(0); !goja.IsUndefined(code) {
				out.Code = int(code.ToInteger())
			}
			return goja.Undefined()
		})
	}
	return nil
}

// Set implements goja.DynamicObject.
func (o *outcome) Set(name string, v goja.Value) bool {
	out := &o.r.outcome
	switch name {
	case "state":
		out.State = v.String()
		out.Failed = out.State == failure
	case "code":
		out.Code = int(v.ToInteger())
	case "error":
		out.Error = v.String()
	case "key":
		out.Key = v.String()
	case "contentType":
		out.ContentType = v.String()
	default:
		return false
	}
	return true
}

// console gives what a script prints to the policy's log.
func (r *runtime) console() goja.Value {
	o := r.NewObject()
	for _, level := range []string{"debug", "log", "info", "warn", "error"} {
		_ = o.Set(level, func(c goja.FunctionCall) goja.Value {
			if r.program.options.Console != nil {
				parts := make([]string, len(c.Arguments))
				for i, a := range c.Arguments {
					parts[i] = a.String()
				}
				const most = 1024 // bytes of a line
				text := strings.Join(parts, " ")
				r.program.options.Console(level, text[:min(len(text), most)])
			}
			return goja.Undefined()
		})
	}
	return o
}

// encodings are atob, btoa and Base64.
func (r *runtime) encodings() {
	encode := func(c goja.FunctionCall) goja.Value {
		return r.value(base64.StdEncoding.EncodeToString([]byte(c.Argument(0).String())))
	}
	decode := func(c goja.FunctionCall) goja.Value {
		out, err := base64.StdEncoding.DecodeString(c.Argument(0).String())
		if err != nil {
			r.throw("is no base64: %v", err)
		}
		return r.value(out)
	}
	o := r.NewObject()
	_ = o.Set("encode", encode)
	_ = o.Set("decode", decode)
	global := r.GlobalObject()
	for name, v := range map[string]any{"btoa": encode, "atob": decode, "Base64": o} {
		_ = global.DefineDataProperty(name, r.ToValue(v), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
}

// msg is "message".
type msg struct{ dynamic }

// Get implements goja.DynamicObject.
func (o *msg) Get(name string) goja.Value {
	r := o.r
	if r.subject.Message == nil {
		r.throw("there is no message in this phase")
	}
	switch name {
	case "content":
		return r.content("message", func() []byte { return r.subject.Message.Content }, func(b []byte) { r.subject.Message.Content = b })
	case "headers":
		return r.headersOf("message", func() headers { return messageHeaders{r.subject.Message} })
	case "header":
		return r.first("message", func() headers { return messageHeaders{r.subject.Message} })
	case "metadata":
		return r.field("message.metadata", r.metadata)
	case "attributes":
		return r.attributesOf("message.attributes", func() map[string]any { return r.subject.Message.Attributes })
	case "attribute":
		return r.method("message.attribute", func(c goja.FunctionCall) goja.Value {
			return r.value(r.subject.Message.Attributes[c.Argument(0).String()])
		})
	case "setAttribute":
		return r.method("message.setAttribute", func(c goja.FunctionCall) goja.Value {
			r.setMessageAttribute(c.Argument(0).String(), c.Argument(1))
			return goja.Undefined()
		})
	case "key":
		return r.field("message.key", func() goja.Value { return r.optional(r.subject.Message.Key) })
	case "topic":
		return r.field("message.topic", func() goja.Value { return r.value(r.subject.Message.Topic) })
	case "timestamp":
		return r.field("message.timestamp", func() goja.Value { return r.value(r.subject.Message.Timestamp) })
	case "id":
		return r.field("message.id", func() goja.Value { return r.optional(r.subject.Message.ID) })
	}
	return nil
}

func (r *runtime) optional(b []byte) goja.Value {
	if b == nil {
		return goja.Null()
	}
	return r.value(b)
}

func (r *runtime) setMessageAttribute(name string, v goja.Value) {
	m := r.subject.Message
	out := make(map[string]any, len(m.Attributes)+1)
	maps.Copy(out, m.Attributes) // the message's may be shared
	out[strings.TrimPrefix(name, "gravitee.attribute.")] = plain(v)
	m.Attributes = out
}

func (r *runtime) metadata() goja.Value {
	out := map[string]any{}
	for _, f := range r.subject.Message.Metadata([]message.Field(nil)) {
		if f.IsInt {
			out[f.Name] = f.Int
		} else {
			out[f.Name] = f.Text
		}
	}
	return r.value(out)
}

// millisecond of a moment, as scripts tell times.
func milliseconds(t time.Time) int64 { return t.UnixMilli() }
