package wasm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/wasm"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/leak"
	. "github.com/sluice-gateway/sluice/test/wasmasm"
)

func TestMain(m *testing.M) { leak.Main(m) }

func compile(cfg map[string]any, phase policies.Phase) (any, error) {
	raw, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	made, problems := wasm.Type.Compile(raw, policies.Env{Log: slog.New(slog.DiscardHandler), Phase: phase})
	return made, problems.Err()
}

func compiled(t *testing.T, cfg map[string]any) policies.MessagePolicy {
	t.Helper()
	made, err := compile(cfg, policies.Publish)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.(io.Closer).Close() })
	return made.(policies.MessagePolicy)
}

func on(p policies.MessagePolicy, m *message.Message) error {
	var c policies.Context
	c.Init(&exchange.Exchange{}, nil)
	c.SetMessage(m)
	return p.OnMessage(context.Background(), &c, m)
}

// main is a module with one function.
func main(code []byte, imports ...Func) map[string]any {
	m := Module{Pages: 1, Funcs: append(imports, Func{Name: "on_message", Out: true, Locals: 1, Code: code})}
	return map[string]any{"module": Base64(m), "timeout": 50}
}

func TestPolicy_ChangesMessages(t *testing.T) {
	t.Parallel()
	p := compiled(t, map[string]any{"module": Base64(Upper()), "parameters": "given", "timeout": 1000})
	original := []byte("abc {z}")
	m := &message.Message{Content: original, Headers: []message.Header{{Name: "X-Wasm", Value: []byte("old")}, {Name: "a", Value: []byte("b")}}}
	if err := on(p, m); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s %s", m.Content, m.Headers); got != "ABC {Z} [{a b} {x-wasm given}]" || string(original) != "abc {z}" {
		t.Errorf("%s, original %s", got, original)
	}
}

func TestPolicy_Outcomes(t *testing.T) {
	t.Parallel()
	content := Func{Module: "sluice", Name: "content", In: 2, Out: true}
	for _, c := range []struct {
		name string
		cfg  map[string]any
		want string
	}{
		{"goes on", main(Code(Const, Int(0))), "<nil>"},
		{"dropped", main(Code(Const, Int(1))), policies.ErrDrop.Error()},
		{"failed", map[string]any{"module": Base64(Returns(2, "KEY", "why"))}, "418 KEY why"},
		{"failed without a word", main(Code(Const, Int(2))), "500 WASM_EXECUTION_FAILURE Internal Server Error"},
		{"something else", main(Code(Const, Int(-7))), "500 WASM_EXECUTION_FAILURE Internal Server Error"},
		{"a trap", main(Code(Unreachable)), "500 WASM_EXECUTION_FAILURE Internal Server Error"},
		{"without end", main(Code(Loop, Void, Br, 0, End, Const, Int(0))), "500 WASM_EXECUTION_FAILURE Timeout"},
		{"calls without end", main(Code(Call, 0)), "500 WASM_EXECUTION_FAILURE Internal Server Error"},
		{"memory that it does not have", main(Code(Const, Int(-1), Const, Int(100), Call, 0), content), "500 WASM_EXECUTION_FAILURE Internal Server Error"},
		{"more memory than it may", main(Code(Const, Int(1000), MemoryGrow, 0, Const, Int(1), Add)), "<nil>"},        // -1, and so 0
		{"too little room", main(Code(Const, Int(0), Const, Int(3), Call, 0, Const, Int(7), Sub), content), "<nil>"}, // the length, which is 7
	} {
		p := compiled(t, c.cfg)
		for range 2 { // what an instance did must not harm the next run
			m := &message.Message{Content: []byte("content")}
			err := on(p, m)
			got := fmt.Sprint(err)
			var f *message.Failure
			if errors.As(err, &f) {
				got = fmt.Sprintf("%d %s %s", f.Status, f.Key, f.Message)
			}
			if got != c.want || string(m.Content) != "content" {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
	}
}

// counter returns how often it ran, less one: 0 for the first run of an instance.
var counter = Code(Const, Int(0), Const, Int(0), Load, 2, 0, Const, Int(1), Add, Store, 2, 0, Const, Int(0), Load, 2, 0, Const, Int(1), Sub)

func TestPolicy_Isolation(t *testing.T) {
	t.Parallel()
	kept, fresh := main(counter), main(counter)
	fresh["isolated"] = true
	a, b := compiled(t, kept), compiled(t, fresh)
	for i, want := range []error{nil, policies.ErrDrop} {
		if err := on(a, &message.Message{}); err != want {
			t.Errorf("kept, run %d: %v", i, err)
		}
		if err := on(b, &message.Message{}); err != nil {
			t.Errorf("isolated, run %d: %v", i, err)
		}
	}
}

func TestPolicy_ManyAtOnce(t *testing.T) {
	t.Parallel()
	p := compiled(t, map[string]any{"module": Base64(Upper()), "timeout": 1000})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				m := &message.Message{Content: fmt.Append(nil, "n", i)}
				if err := on(p, m); err != nil || string(m.Content) != fmt.Sprint("N", i) {
					t.Errorf("%s, %v", m.Content, err)
				}
			}
		})
	}
	all.Wait()
}

func TestCompile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "m.wasm")
	if err := os.WriteFile(file, Assemble(Upper()), 0o600); err != nil {
		t.Fatal(err)
	}
	wasi := Module{Pages: 1, Funcs: []Func{{Module: "wasi_snapshot_preview1", Name: "fd_write", In: 4, Out: true}, {Name: "on_message", Out: true, Code: Code(Const, Int(0))}}}
	unknown := Module{Pages: 1, Funcs: []Func{{Module: "sluice", Name: "open"}, {Name: "on_message", Out: true, Code: Code(Const, Int(0))}}}
	other := Module{Pages: 1, Funcs: []Func{{Module: "sluice", Name: "content", In: 1, Out: true}, {Name: "on_message", Out: true, Code: Code(Const, Int(0))}}}
	large := Module{Pages: 100, Funcs: []Func{{Name: "on_message", Out: true, Code: Code(Const, Int(0))}}}
	none := Module{Pages: -1, Funcs: []Func{{Name: "on_message", Out: true, Code: Code(Const, Int(0))}}}
	takes := Module{Pages: 1, Funcs: []Func{{Name: "on_message", In: 1, Out: true, Code: Code(Const, Int(0))}}}
	start := Module{Pages: 1, Funcs: []Func{{Name: "on_message", Out: true, Code: Code(Const, Int(0))}, {Name: "_initialize", Code: Code(Loop, Void, Br, 0, End)}}}
	for _, c := range []struct {
		name string
		cfg  map[string]any
		want string
	}{
		{"a file", map[string]any{"file": file}, ""},
		{"nothing", map[string]any{}, "/module  is required"},
		{"both", map[string]any{"module": "AA==", "file": file}, "/file  stands beside"},
		{"no file", map[string]any{"file": file + ".none"}, "/file  cannot be read"},
		{"no base64", map[string]any{"module": "!"}, "/module  is not base64"},
		{"no module", map[string]any{"module": "AAAA"}, "/module  is no WebAssembly module"},
		{"WASI", map[string]any{"module": Base64(wasi)}, "/module  imports wasi_snapshot_preview1.fd_write; only"},
		{"an unknown function", map[string]any{"module": Base64(unknown)}, "/module  imports sluice.open, which there is not"},
		{"another signature", map[string]any{"module": Base64(other)}, "/module  cannot be started"},
		{"too much memory", map[string]any{"module": Base64(large), "memoryLimit": 99 * 65536}, "/module  is no WebAssembly module"},
		{"no memory", map[string]any{"module": Base64(none)}, "/module  exports no memory"},
		{"a function that takes something", map[string]any{"module": Base64(takes)}, "/module  on_message must take nothing"},
		{"a start without end", map[string]any{"module": Base64(start), "timeout": 10}, "/module  cannot be started"},
		{"no time", map[string]any{"module": Base64(Upper()), "timeout": 1}, "/timeout"},
		{"no room", map[string]any{"module": Base64(Upper()), "memoryLimit": 1}, "/memoryLimit"},
		{"long parameters", map[string]any{"module": Base64(Upper()), "parameters": strings.Repeat("x", 70000)}, "/parameters"},
	} {
		made, err := compile(c.cfg, policies.Subscribe)
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if err == nil {
			_ = made.(io.Closer).Close()
		}
	}
	if _, err := compile(map[string]any{"module": Base64(large)}, policies.Request); err == nil || !strings.Contains(err.Error(), "exports none of the functions of this phase: [on_request]") {
		t.Errorf("another phase: %v", err)
	}
}
