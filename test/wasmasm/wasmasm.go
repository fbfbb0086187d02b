// Package wasmasm assembles small WebAssembly modules for tests, so that no binary need lie in the repository: types, imports,
// one memory and functions whose code is given as bytes of instructions. It is imported by tests only.
package wasmasm

import "encoding/base64"

// Instructions (WebAssembly 1.0, section 5.4).
const (
	Unreachable = 0x00
	Block       = 0x02
	Loop        = 0x03
	End         = 0x0b
	Br          = 0x0c
	BrIf        = 0x0d
	Call        = 0x10
	Drop        = 0x1a
	LocalGet    = 0x20
	LocalSet    = 0x21
	Load8       = 0x2d // i32.load8_u, followed by alignment and offset
	Store8      = 0x3a
	Load        = 0x28 // i32.load
	Store       = 0x36
	MemoryGrow  = 0x40
	Const       = 0x41 // i32.const, followed by its value (Int)
	Eqz         = 0x45
	LessU       = 0x49
	GreaterU    = 0x4b
	Add         = 0x6a
	Sub         = 0x6b
	Or          = 0x72
	Void        = 0x40 // the type of a block without result
)

// Func is a function of i32 parameters, of which at most one i32 comes back.
type Func struct {
	Name   string // what it is imported or exported as; empty: it is not exported
	Module string // what it is imported from; empty: it is defined here
	In     int
	Out    bool
	Locals int
	Code   []byte // without the last End
}

// Module is what is assembled. Imported functions stand before those that are defined: calls name them by their place.
type Module struct {
	Funcs []Func
	Pages int    // of the memory, which is exported as "memory"; -1: none
	Data  string // at 0
}

const i32 = 0x7f

// Int is the value of a Const.
func Int(n int32) (out []byte) {
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// Code strings instructions together: ints are bytes, []byte is as it is.
func Code(parts ...any) (out []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			out = append(out, byte(p))
		case []byte:
			out = append(out, p...)
		}
	}
	return out
}

func length(n int) (out []byte) {
	for n >= 0x80 {
		out = append(out, byte(n)|0x80)
		n >>= 7
	}
	return append(out, byte(n))
}

func sized(b []byte) []byte { return append(length(len(b)), b...) }

// list is how many there are, and then they.
type list struct {
	n int
	b []byte
}

func (l *list) add(b ...byte) { l.n, l.b = l.n+1, append(l.b, b...) }

func (l *list) section(id byte, out []byte) []byte {
	if l.n == 0 {
		return out
	}
	return append(append(out, id), sized(append(length(l.n), l.b...))...)
}

// Assemble returns the module's bytes.
func Assemble(m Module) []byte {
	var types, imports, functions, memories, exports, code, data list
	for i, f := range m.Funcs {
		t := append([]byte{0x60}, length(f.In)...)
		for range f.In {
			t = append(t, i32)
		}
		if f.Out {
			t = append(t, 1, i32)
		} else {
			t = append(t, 0)
		}
		types.add(t...)
		if f.Module != "" {
			imports.add(append(append(append(sized([]byte(f.Module)), sized([]byte(f.Name))...), 0), length(i)...)...)
			continue
		}
		functions.add(length(i)...)
		if f.Name != "" {
			exports.add(append(append(sized([]byte(f.Name)), 0), length(i)...)...)
		}
		body := []byte{0}
		if f.Locals > 0 {
			body = append(append([]byte{1}, length(f.Locals)...), i32)
		}
		code.add(sized(append(append(body, f.Code...), End))...)
	}
	if m.Pages >= 0 {
		memories.add(append([]byte{0}, length(m.Pages)...)...)
		exports.add(append(sized([]byte("memory")), 2, 0)...)
	}
	if m.Data != "" {
		data.add(append([]byte{0, Const, 0, End}, sized([]byte(m.Data))...)...)
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range []struct {
		id byte
		*list
	}{{1, &types}, {2, &imports}, {3, &functions}, {5, &memories}, {7, &exports}, {10, &code}, {11, &data}} {
		out = s.section(s.id, out)
	}
	return out
}

// Base64 is a module as definitions have it.
func Base64(m Module) string { return base64.StdEncoding.EncodeToString(Assemble(m)) }

// Upper is a module that makes the letters of contents large, on request, response and messages, and sets the header x-wasm to
// its parameters. Contents of 32 KiB or more are left alone.
func Upper() Module {
	const content, setContent, setHeader, parameters, work = 0, 1, 2, 3, 4
	const at, room, name, value = 1024, 32 << 10, 0, 512
	m := Module{Pages: 1, Data: "x-wasm", Funcs: []Func{
		{Module: "sluice", Name: "content", In: 2, Out: true},
		{Module: "sluice", Name: "set_content", In: 2},
		{Module: "sluice", Name: "set_header", In: 4},
		{Module: "sluice", Name: "parameters", In: 2, Out: true},
		{Out: true, Locals: 2, Code: Code( // locals: length, then the place
			Const, Int(at), Const, Int(room), Call, content, LocalSet, 0,
			Block, Void,
			LocalGet, 0, Const, Int(room), GreaterU, BrIf, 0,
			Block, Void, Loop, Void,
			LocalGet, 1, LocalGet, 0, LessU, Eqz, BrIf, 1,
			Block, Void,
			LocalGet, 1, Load8, 0, Int(at), Const, Int('a'), LessU, BrIf, 0,
			LocalGet, 1, Load8, 0, Int(at), Const, Int('z'), GreaterU, BrIf, 0,
			LocalGet, 1, LocalGet, 1, Load8, 0, Int(at), Const, Int(32), Sub, Store8, 0, Int(at),
			End,
			LocalGet, 1, Const, Int(1), Add, LocalSet, 1, Br, 0,
			End, End,
			Const, Int(at), LocalGet, 0, Call, setContent,
			End,
			Const, Int(name), Const, Int(6), Const, Int(value), Const, Int(value), Const, Int(512), Call, parameters, Call, setHeader,
			Const, Int(0),
		)},
	}}
	for _, phase := range []string{"on_request", "on_response", "on_message"} {
		m.Funcs = append(m.Funcs, Func{Name: phase, Out: true, Code: Code(Call, work)})
	}
	return m
}

// Returns is a module that returns n on any phase, after it has called fail with the status 418, the key and the text.
func Returns(n int32, key, text string) Module {
	m := Module{Pages: 1, Data: key + text, Funcs: []Func{
		{Module: "sluice", Name: "fail", In: 5},
		{Out: true, Code: Code(Const, Int(418), Const, Int(0), Const, Int(int32(len(key))), Const, Int(int32(len(key))), Const, Int(int32(len(text))), Call, 0, Const, Int(n))},
	}}
	for _, phase := range []string{"on_request", "on_response", "on_message"} {
		m.Funcs = append(m.Funcs, Func{Name: phase, Out: true, Code: Code(Call, 1)})
	}
	return m
}
