package script

import (
	"strings"

	"github.com/dop251/goja"
	"github.com/valyala/fasthttp"
)

func (r *runtime) http() *fasthttp.RequestCtx {
	x := r.subject.Context.Exchange
	if r.subject.Message != nil || x == nil || x.HTTP == nil {
		r.throw("there is no request or response in this phase; there is message")
	}
	return x.HTTP
}

// request is "request".
type request struct{ dynamic }

// Get implements goja.DynamicObject.
func (o *request) Get(name string) goja.Value {
	r := o.r
	http := r.http()
	x := r.subject.Context.Exchange
	text := func(get func() string) goja.Value {
		return r.field("request."+name, func() goja.Value { return r.value(get()) })
	}
	switch name {
	case "content":
		return r.content("request", func() []byte { return r.http().Request.Body() }, func(b []byte) { r.http().Request.SetBody(b) })
	case "headers":
		return r.headersOf("request", func() headers { return requestHeaders{&r.http().Request.Header} })
	case "header":
		return r.first("request", func() headers { return requestHeaders{&r.http().Request.Header} })
	case "parameters":
		return r.field("request.parameters", func() goja.Value {
			out := map[string]any{}
			for key, value := range r.http().QueryArgs().All() {
				values, _ := out[string(key)].([]string)
				out[string(key)] = append(values, string(value))
			}
			return r.value(out)
		})
	case "id":
		return text(func() string { return r.subject.Context.Exchange.RequestID })
	case "transactionId":
		return text(func() string { return r.subject.Context.Exchange.TransactionID })
	case "method":
		return text(func() string { return string(r.http().Method()) })
	case "uri":
		return text(func() string { return string(r.http().RequestURI()) })
	case "path":
		return text(func() string { return string(r.http().Path()) })
	case "pathInfo":
		return text(func() string { return r.subject.Context.Exchange.PathInfo })
	case "contextPath":
		return text(func() string { return r.subject.Context.Exchange.ContextPath })
	case "host":
		return text(func() string { return string(r.http().Host()) })
	case "scheme":
		return text(func() string { return string(r.http().URI().Scheme()) })
	case "version":
		return text(func() string { return string(r.http().Request.Header.Protocol()) })
	case "timestamp":
		return r.field("request.timestamp", func() goja.Value { return r.value(milliseconds(r.http().Time())) })
	case "remoteAddress":
		if x.RemoteAddr == nil {
			return r.field("request.remoteAddress", func() goja.Value { return r.value(r.http().RemoteIP().String()) })
		}
		return text(func() string { return host(r.subject.Context.Exchange.RemoteAddr.String()) })
	case "localAddress":
		return r.field("request.localAddress", func() goja.Value { return r.value(http.LocalIP().String()) })
	}
	return nil
}

// host is an address without its port.
func host(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i > 0 {
		return strings.Trim(addr[:i], "[]")
	}
	return addr
}

// response is "response".
type response struct{ dynamic }

// Get implements goja.DynamicObject.
func (o *response) Get(name string) goja.Value {
	r := o.r
	r.http()
	if !r.subject.Response {
		r.throw("there is no response yet in this phase")
	}
	switch name {
	case "content":
		return r.content("response", func() []byte { return r.http().Response.Body() }, func(b []byte) { r.http().Response.SetBody(b) })
	case "headers":
		return r.headersOf("response", func() headers { return responseHeaders{&r.http().Response.Header} })
	case "header":
		return r.first("response", func() headers { return responseHeaders{&r.http().Response.Header} })
	case "status":
		if r.program.options.Style == Fields {
			return r.ToValue(r.http().Response.StatusCode())
		}
		return r.method("response.status", func(c goja.FunctionCall) goja.Value {
			if len(c.Arguments) > 0 {
				r.setStatus(c.Argument(0))
			}
			return r.ToValue(r.http().Response.StatusCode())
		})
	case "reason":
		return r.field("response.reason", func() goja.Value { return r.value(fasthttp.StatusMessage(r.http().Response.StatusCode())) })
	}
	return nil
}

// Set implements goja.DynamicObject.
func (o *response) Set(name string, v goja.Value) bool {
	if name != "status" || !o.r.subject.Response {
		return false
	}
	o.r.setStatus(v)
	return true
}

func (r *runtime) setStatus(v goja.Value) {
	const lowest, highest = 100, 599
	code := v.ToInteger()
	if code < lowest || code > highest {
		r.throw("%d is no HTTP status", code)
	}
	r.http().Response.SetStatusCode(int(code))
}

// surroundings is "context".
type surroundings struct{ dynamic }

// Get implements goja.DynamicObject.
func (o *surroundings) Get(name string) goja.Value {
	r := o.r
	attribute := func(name string) any {
		v, _ := r.subject.Context.Exchange.Attribute(name)
		return v
	}
	switch name {
	case "attributes":
		return r.field("context.attributes", func() goja.Value { return r.of("context.attributes.map", &attributes{o.dynamic}) })
	case "get":
		return r.method("context.get", func(c goja.FunctionCall) goja.Value { return r.value(attribute(c.Argument(0).String())) })
	case "set":
		return r.method("context.set", func(c goja.FunctionCall) goja.Value {
			r.subject.Context.Exchange.SetAttribute(c.Argument(0).String(), plain(c.Argument(1)))
			return goja.Undefined()
		})
	case "remove":
		return r.method("context.remove", func(c goja.FunctionCall) goja.Value {
			r.subject.Context.Exchange.SetAttribute(c.Argument(0).String(), nil)
			return goja.Undefined()
		})
	case "dictionaries":
		return r.field("context.dictionaries", func() goja.Value {
			out := map[string]any{}
			if s := r.subject.Context.Surround(); s != nil {
				for k, d := range s.Dictionaries {
					out[k] = d
				}
			}
			return r.value(out)
		})
	case "properties":
		return r.field("context.properties", func() goja.Value {
			if s := r.subject.Context.Surround(); s != nil {
				return r.value(s.Properties)
			}
			return r.value(map[string]any{})
		})
	}
	return nil
}

// attributes are those of the exchange, as a map.
type attributes struct{ dynamic }

// Get implements goja.DynamicObject.
func (o *attributes) Get(name string) goja.Value {
	r := o.r
	switch name {
	case "get":
		return (&surroundings{o.dynamic}).Get("get")
	case "set", "put":
		return (&surroundings{o.dynamic}).Get("set")
	case "remove":
		return (&surroundings{o.dynamic}).Get("remove")
	case "containsKey":
		return r.method("attributes.containsKey", func(c goja.FunctionCall) goja.Value {
			_, ok := r.subject.Context.Exchange.Attribute(c.Argument(0).String())
			return r.ToValue(ok)
		})
	}
	v, ok := r.subject.Context.Exchange.Attribute(name)
	if !ok {
		return nil
	}
	return r.value(v)
}

// Set implements goja.DynamicObject.
func (o *attributes) Set(name string, v goja.Value) bool {
	o.r.subject.Context.Exchange.SetAttribute(name, plain(v))
	return true
}

// Delete implements goja.DynamicObject.
func (o *attributes) Delete(name string) bool { return o.Set(name, goja.Null()) }

// Has implements goja.DynamicObject.
func (o *attributes) Has(name string) bool { return o.Get(name) != nil }

// Keys implements goja.DynamicObject.
func (o *attributes) Keys() []string { return o.r.subject.Context.Exchange.AttributeNames() }
