package wasm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/message"
)

// hostModule is the module that the functions of the host are imported from.
const hostModule = "sluice"

// call is what one run works on; the functions of the host find it in their context.
type call struct {
	policy   *policy
	context  *policies.Context
	message  *message.Message // nil: an exchange
	response bool

	told *message.Failure
	err  error // the first thing that a function of the host was asked wrongly
}

type callKey struct{}

func (c *call) failure() error {
	if c.told == nil {
		return c.policy.failure(errors.New("the module failed without telling why (fail)"))
	}
	return c.told
}

// absent is what functions return where there is nothing of the name.
const absent = -1

var errMemory = errors.New("the module named memory that it does not have")

// function is one of the host: in are its parameters, out is what it returns.
type function struct {
	in   int
	out  bool
	call func(c *call, m api.Memory, in []uint64) int32
}

// host are the functions that modules may import.
var host = map[string]function{
	"parameters":  {2, true, func(c *call, m api.Memory, in []uint64) int32 { return c.give(m, c.policy.parameters, in) }},
	"content":     {2, true, func(c *call, m api.Memory, in []uint64) int32 { return c.give(m, c.content(), in) }},
	"set_content": {2, false, func(c *call, m api.Memory, in []uint64) int32 { c.setContent(c.bytes(m, in[0], in[1])); return 0 }},
	"header":      {4, true, func(c *call, m api.Memory, in []uint64) int32 { return c.maybe(m, c.header, in) }},
	"set_header": {4, false, func(c *call, m api.Memory, in []uint64) int32 {
		c.setHeader(c.text(m, in), c.bytes(m, in[2], in[3]), true)
		return 0
	}},
	"add_header": {4, false, func(c *call, m api.Memory, in []uint64) int32 {
		c.setHeader(c.text(m, in), c.bytes(m, in[2], in[3]), false)
		return 0
	}},
	"remove_header": {2, false, func(c *call, m api.Memory, in []uint64) int32 { c.removeHeader(c.text(m, in)); return 0 }},
	"header_names": {2, true, func(c *call, m api.Memory, in []uint64) int32 {
		return c.give(m, []byte(strings.Join(c.headerNames(), "\n")), in)
	}},
	"attribute": {4, true, func(c *call, m api.Memory, in []uint64) int32 { return c.maybe(m, c.attribute, in) }},
	"set_attribute": {4, false, func(c *call, m api.Memory, in []uint64) int32 {
		c.setAttribute(c.text(m, in), string(c.bytes(m, in[2], in[3])))
		return 0
	}},
	"property":   {4, true, func(c *call, m api.Memory, in []uint64) int32 { return c.maybe(m, c.property, in) }},
	"status":     {0, true, func(c *call, _ api.Memory, _ []uint64) int32 { return c.status() }},
	"set_status": {1, false, func(c *call, _ api.Memory, in []uint64) int32 { c.setStatus(int32(in[0])); return 0 }},
	"fail": {5, false, func(c *call, m api.Memory, in []uint64) int32 {
		c.fail(int32(in[0]), c.bytes(m, in[1], in[2]), c.bytes(m, in[3], in[4]))
		return 0
	}},
	"log": {2, false, func(c *call, m api.Memory, in []uint64) int32 {
		c.policy.log.Debug("module", "text", c.text(m, in))
		return 0
	}},
}

// offer makes the host's module.
func (p *policy) offer(ctx context.Context) error {
	b := p.engine.NewHostModuleBuilder(hostModule)
	for name, f := range host {
		var results []api.ValueType
		if f.out {
			results = []api.ValueType{api.ValueTypeI32}
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			c, ok := ctx.Value(callKey{}).(*call)
			if !ok {
				panic(errors.New("functions of the host cannot be called while the module starts"))
			}
			out := f.call(c, m.Memory(), stack[:f.in])
			if f.out {
				stack[0] = api.EncodeI32(out)
			}
		}), slices.Repeat([]api.ValueType{api.ValueTypeI32}, f.in), results).Export(name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// wrong remembers what the module did wrong first: it fails when it has returned.
func (c *call) wrong(err error) {
	if c.err == nil {
		c.err = err
	}
}

// bytes are a copy of the module's memory.
func (c *call) bytes(m api.Memory, at, n uint64) []byte {
	b, ok := m.Read(uint32(at), uint32(n))
	if !ok {
		c.wrong(errMemory)
		return nil
	}
	return slices.Clone(b)
}

func (c *call) text(m api.Memory, in []uint64) string { return string(c.bytes(m, in[0], in[1])) }

// give writes b where the last two of in say that there is room, if it fits, and returns its length.
func (c *call) give(m api.Memory, b []byte, in []uint64) int32 {
	at, room := uint32(in[len(in)-2]), uint32(in[len(in)-1])
	if uint64(len(b)) <= uint64(room) && !m.Write(at, b) {
		c.wrong(errMemory)
	}
	return int32(len(b))
}

func (c *call) maybe(m api.Memory, get func(string) ([]byte, bool), in []uint64) int32 {
	b, ok := get(c.text(m, in))
	if !ok {
		return absent
	}
	return c.give(m, b, in)
}

func (c *call) http() *fasthttp.RequestCtx { return c.context.Exchange.HTTP }

func (c *call) content() []byte {
	switch {
	case c.message != nil:
		return c.message.Content
	case !c.response:
		return c.http().Request.Body()
	case c.context.Streaming:
		return nil
	}
	return c.http().Response.Body()
}

func (c *call) setContent(b []byte) {
	switch {
	case c.message != nil:
		c.message.Content = b
	case !c.response:
		c.http().Request.SetBody(b)
	case c.context.Streaming:
		c.wrong(errors.New("the module set the content of a stream, whose messages are its content"))
	default:
		c.http().Response.SetBody(b)
	}
	c.context.Changed()
}

func (c *call) header(name string) ([]byte, bool) {
	if c.message != nil {
		return c.message.Header(name)
	}
	var all [][]byte
	if c.response {
		all = c.http().Response.Header.PeekAll(name)
	} else {
		all = c.http().Request.Header.PeekAll(name)
	}
	if len(all) == 0 {
		return nil, false
	}
	return all[0], true
}

func (c *call) headerNames() (names []string) {
	if c.message != nil {
		for _, h := range c.message.Headers {
			names = append(names, h.Name)
		}
		return names
	}
	keys := c.http().Request.Header.PeekKeys()
	if c.response {
		keys = c.http().Response.Header.PeekKeys()
	}
	for _, k := range keys {
		names = append(names, string(k))
	}
	return names
}

func (c *call) setHeader(name string, value []byte, replace bool) {
	if replace {
		c.removeHeader(name)
	}
	switch {
	case c.message != nil:
		c.message.Headers = append(slices.Clip(c.message.Headers), message.Header{Name: name, Value: value})
	case c.response:
		c.http().Response.Header.AddBytesV(name, value)
	default:
		c.http().Request.Header.AddBytesV(name, value)
	}
}

func (c *call) removeHeader(name string) {
	switch {
	case c.message != nil:
		c.message.Headers = slices.DeleteFunc(slices.Clone(c.message.Headers), func(h message.Header) bool { return strings.EqualFold(h.Name, name) })
	case c.response:
		c.http().Response.Header.Del(name)
	default:
		c.http().Request.Header.Del(name)
	}
}

// attribute is one of the message, or else of the exchange, as text.
func (c *call) attribute(name string) ([]byte, bool) {
	var v any
	ok := false
	if c.message != nil {
		v, ok = c.message.Attributes[name]
	}
	if !ok {
		v, ok = c.context.Exchange.Attribute(name)
	}
	if !ok || v == nil {
		return nil, false
	}
	return fmt.Append(nil, v), true
}

func (c *call) setAttribute(name, value string) {
	if c.message == nil {
		c.context.Exchange.SetAttribute(name, value)
		return
	}
	out := make(map[string]any, len(c.message.Attributes)+1)
	maps.Copy(out, c.message.Attributes) // the message's may be shared
	out[strings.TrimPrefix(name, "gravitee.attribute.")] = value
	c.message.Attributes = out
}

// property is something that can only be read.
func (c *call) property(name string) ([]byte, bool) {
	if m := c.message; m != nil {
		switch name {
		case "key":
			return m.Key, m.Key != nil
		case "topic":
			return []byte(m.Topic), m.Topic != ""
		case "timestamp":
			return strconv.AppendInt(nil, m.Timestamp, 10), m.Timestamp != 0
		}
		return nil, false
	}
	switch name {
	case "method":
		return c.http().Method(), true
	case "path":
		return c.http().Path(), true
	case "query":
		return c.http().QueryArgs().QueryString(), true
	}
	return nil, false
}

func (c *call) status() int32 {
	if c.message != nil || !c.response {
		return absent
	}
	return int32(c.http().Response.StatusCode())
}

// Bounds of HTTP statuses.
const (
	lowestStatus  = 100
	lowestError   = 400
	highestStatus = 599
)

func (c *call) setStatus(code int32) {
	if c.message != nil || !c.response || code < lowestStatus || code > highestStatus {
		c.wrong(fmt.Errorf("the module set the status %d, which is none, or where there is no response", code))
		return
	}
	c.http().Response.SetStatusCode(int(code))
}

func (c *call) fail(status int32, key, text []byte) {
	if status < lowestError || status > highestStatus {
		status = fasthttp.StatusInternalServerError
	}
	c.told = &message.Failure{Status: int(status), Key: string(key), Message: string(text)}
}
