package script_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/script"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	regexp2.StopTimeoutClock() // it would end by itself, a second after the last expression
	if code == 0 {
		if err := leak.Check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func options(style script.Style) script.Options {
	return script.Options{Style: style, Time: script.MaxTime, Memory: 64 << 20}
}

func compiled(t testing.TB, style script.Style, source string) *script.Program {
	t.Helper()
	p, err := script.Compile(source, options(style))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// onMessage runs a script on a message, and renders what comes of it.
func onMessage(t testing.TB, p *script.Program) string {
	t.Helper()
	m := &message.Message{Content: []byte(`{"n":7}`), Key: []byte("k"), Headers: []message.Header{{Name: "A", Value: []byte("1")}, {Name: "a", Value: []byte("2")}}}
	var c policies.Context
	c.Init(&exchange.Exchange{API: &exchange.API{ID: "api"}}, policies.NewSurround([]apidef.Property{{Key: "p", Value: "v"}}, nil, policies.Dictionaries{"d": {"k": "w"}}, policies.Node{}))
	c.SetMessage(m)
	out, err := p.Run(&script.Subject{Context: &c, Message: m, Content: true})
	if err != nil {
		return "error: " + err.Error()
	}
	text := fmt.Sprintf("%v|%s", out.Value, m.Content)
	for _, h := range m.Headers {
		text += "|" + h.Name + "=" + string(h.Value)
	}
	for k, v := range m.Attributes {
		text += fmt.Sprintf("|%s:%v", k, v)
	}
	if v, ok := c.Exchange.Attribute("x"); ok {
		text += fmt.Sprintf("|x:%v", v)
	}
	if out.Failed {
		text += fmt.Sprintf("|failed %d %s %s", out.Code, out.Key, out.Error)
	}
	return text
}

func TestProgram_OnMessage(t *testing.T) {
	t.Parallel()
	const rest = `{"n":7}|A=1|a=2`
	for _, c := range []struct {
		style        script.Style
		source, want string
	}{
		{script.Methods, `1 + 2`, "3|" + rest},
		{script.Methods, `if (true) { 'a' } else { 'b' }`, "a|" + rest},
		{script.Methods, `for (var i = 0; i < 3; i++) { i }`, "2|" + rest},
		{script.Methods, `let x = 5; function f() { 'no' }; f()`, "|" + rest},
		{script.Methods, `'use strict'; try { undeclared = 1 } catch (e) { 'strict' }`, "strict|" + rest},
		{script.Methods, `const m = JSON.parse(message.content()); m.n += 1; message.content(JSON.stringify(m))`, `|{"n":8}|A=1|a=2`},
		{script.Methods, `message.headers().set('b', message.header('A') + message.headers().getAll('a').length); null`, "|" + rest + "|b=12"},
		{script.Methods, `message.headers().remove('A'); message.headers().add('c', 'x'); message.headers().names().join()`, `c|{"n":7}|c=x`},
		{script.Methods, `message.setAttribute('s', {a: [1, 'x', null]}); message.key()`, "k|" + rest + "|s:map[a:[1 x <nil>]]"},
		{script.Methods, `context.set('x', context.properties().p + context.dictionaries().d.k); context.get('api')`, "api|" + rest + "|x:vw"},
		{script.Methods, `result.fail(418, 'why', 'KEY'); 1`, "1|" + rest + "|failed 418 KEY why"},
		{script.Methods, `result.state = State.FAILURE; result.error = 'e'; null`, "|" + rest + "|failed 500  e"},
		{script.Methods, `atob(btoa('hi')) + Base64.decode(Base64.encode('!'))`, "hi!|" + rest},
		{script.Fields, `message.content + message.headers['a'] + message.headers.B + message.headers.containsKey('a')`, `{"n":7}1undefinedtrue|` + rest},
		{script.Fields, `message.headers['a'] = null; message.headers.d = ['1','2']; context.attributes.x = 3; context.attributes['api']`, `api|{"n":7}|d=1|d=2|x:3`},
		{script.Methods, `[...'abc'].map((c) => c + c).join('-')`, "aa-bb-cc|" + rest},
		{script.Methods, `const {n, m = 4} = JSON.parse(message.content()); [n, m] + ''`, "7,4|" + rest},
		{script.Methods, `var a = [1, 2], o = {}; [a[0], o.x = 9] = [a[1]]; a[0] + ',' + o.x`, "2,9|" + rest},
		{script.Methods, `class A { #p = 1; get() { return this.#p + this.q } q = 2 }; new A().get()`, "3|" + rest},
		{script.Methods, "`<${message.key()}>` + String.raw`a\\n${1}`", `<k>a\n1|` + rest},
		{script.Methods, `'b-a'.replace(/(\w)-(\w)/, (m, x, y) => y + x) + /(?<=b)a/.test('ba')`, "abtrue|" + rest},
		{script.Methods, `new Map([[1, 2]]).get(1) + new Set([1, 1]).size`, "3|" + rest},
		{script.Methods, `throw new Error('boom')`, "error: the script failed: Error: boom"},
		{script.Methods, `request.method()`, "error: the script failed: TypeError: there is no request"},
		{script.Methods, `response.status()`, "error: the script failed: TypeError: there is no request"},
		{script.Methods, `({toString() { throw new Error('late') }})`, "error: the script failed: Error: late"},
		{script.Methods, `try { [1].map(() => { throw new Error('in') }) } catch (e) { e.message }`, "in|" + rest},
		{script.Methods, `typeof eval + typeof Function + typeof Uint8Array + typeof (function(){}).constructor + typeof (async () => 1).constructor`, "undefinedundefinedundefinedundefinedundefined|" + rest},
	} {
		if got := onMessage(t, compiled(t, c.style, c.source)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s\ngot  %s\nwant %s", c.source, got, c.want)
		}
	}
}

// TestProgram_ForgetsRuns: nothing that a run leaves is seen by the next.
func TestProgram_ForgetsRuns(t *testing.T) {
	t.Parallel()
	p := compiled(t, script.Methods, `var seen = typeof left + typeof result.kept + typeof globalThis.other; left = 1; globalThis.other = 2; result.kept = 3; var left2 = left; seen`)
	for range 5 {
		if got := onMessage(t, p); !strings.HasPrefix(got, "undefinedundefinedundefined|") {
			t.Fatal(got)
		}
	}
}

func TestProgram_IsBounded(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"a text that doubles":          `let s = 'x'; while (true) { s = s + s }`,
		"a text that doubles in place": `let s = 'x'; while (true) { s += s }`,
		"a template that doubles":      "let s = 'x'; while (true) { s = `${s}${s}` }",
		"caught":                       `let s = 'x'; while (true) { try { s += s } catch (e) { s = 'y' } }`,
		"repeat":                       `'xxxx'.repeat(1 << 30)`,
		"pad":                          `'x'.padEnd(1 << 30)`,
		"join":                         `const s = 'x'.repeat(1 << 20); new Array(1000).fill(s).join('')`,
		"toString":                     `const s = 'x'.repeat(1 << 20); String(new Array(1000).fill(s))`,
		"a length":                     `new Array(4e9).fill(0)`,
		"a length, in a call":          `String.fromCharCode.apply(null, {length: 4e9})`,
		"concat":                       `let a = [1]; while (true) { a = a.concat(a) }`,
		"spread":                       `let a = [1, 2, 3]; while (true) { a = [...a, ...a] }`,
		"push":                         `const a = []; while (true) { a.push(1) }`,
		"an index":                     `const a = []; for (let i = 0; ; i++) { a[i] = i }`,
		"members":                      `const o = {}; for (let i = 0; ; i++) { o['k' + i] = i }`,
		"a list":                       `let l = null; while (true) { l = {next: l} }`,
		"a map":                        `const m = new Map(); for (let i = 0; ; i++) { m.set(i, i) }`,
		"what JSON multiplies":         `let o = {a: 1}; for (let i = 0; i < 40; i++) { o = {x: o, y: o} } JSON.stringify(o)`,
		"replace":                      `let s = 'x'; while (true) { s = s.replace(/x/g, 'xx') }`,
		"split":                        `const s = 'x'.repeat(1 << 18); const a = []; while (true) { a.push(s.split('')) }`,
	} {
		o := options(script.Methods)
		o.Memory = 4 << 20
		p, err := script.Compile(source, o)
		if err != nil {
			t.Fatal(err)
		}
		// On a slow machine the time may end first what is made a place at a time.
		if got := onMessage(t, p); got != "error: "+script.ErrMemory.Error() && got != "error: "+script.ErrTimeout.Error() {
			t.Errorf("%s: %.200s", name, got)
		}
	}
	o := options(script.Methods)
	o.Time = 20 * time.Millisecond
	for name, source := range map[string]string{
		"a loop":         `while (true) {}`,
		"a loop, caught": `while (true) { try { while (true) {} } catch (e) {} finally { } }`,
		"promises":       `function again() { return Promise.resolve().then(again) }; again(); 1`,
		"sorting":        `const a = []; for (let i = 0; i < 100000; i++) { a.push(i) } while (true) { a.sort((x, y) => y - x) }`,
		"an expression":  `/^(?=a)(a+)+$/.test('a'.repeat(40) + '!')`,
	} {
		p, err := script.Compile(source, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := onMessage(t, p); got != "error: "+script.ErrTimeout.Error() {
			t.Errorf("%s: %.200s", name, got)
		}
		if got := onMessage(t, p); got != "error: "+script.ErrTimeout.Error() {
			t.Errorf("%s, again: %.200s", name, got)
		}
	}
	if got := onMessage(t, compiled(t, script.Methods, `(function f() { f() })()`)); got != "error: "+script.ErrDepth.Error() {
		t.Errorf("calls without end: %s", got)
	}
}

func TestCompile_Refuses(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"let a = ;":                 "1:9",
		"return 1":                  "is no script",
		"}}); (function () { ({":    "is no script",
		"1n + 2n":                   "BigInt",
		strings.Repeat(" ", 300000): "longer than",
		"let request = 1":           "is no script",
	} {
		if _, err := script.Compile(source, options(script.Methods)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", source, err, want)
		}
	}
}

func TestProgram_Shared(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		`message.content('x')`: true, `const d = {Dates: 1}; d.Dates`: true, `context.get('a')`: false, `Math.random()`: false, `new Date()`: false,
		`this.x`: false, `globalThis.x`: false, `request.id()`: false, `console.log(1)`: false,
	} {
		if got := compiled(t, script.Methods, source).Shared(); got != want {
			t.Errorf("%s: %v", source, got)
		}
	}
}

func TestProgram_ManyAtOnce(t *testing.T) {
	t.Parallel()
	p := compiled(t, script.Methods, `message.content(JSON.stringify({n: JSON.parse(message.content()).n + 1}))`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if got := onMessage(t, p); got != `|{"n":8}|A=1|a=2` {
					t.Error(got)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestStep_Exchange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		style  script.Style
		source string
		want   string
	}{
		{script.Methods, `request.content(request.content() + '!'); request.headers().set('X-A', request.method() + request.path() + request.parameters().q[1]); 1`, "body!|POST/p2"},
		{script.Fields, `request.headers['X-A'] = request.uri; 'new'`, "new|/p?q=1&q=2"},
		{script.Fields, `response.status`, "error"},
	} {
		http := &fasthttp.RequestCtx{}
		http.Request.SetRequestURI("/p?q=1&q=2")
		http.Request.Header.SetMethod("POST")
		http.Request.SetBodyString("body")
		var pc policies.Context
		pc.Init(&exchange.Exchange{HTTP: http}, nil)
		s := script.Step{Content: true, Override: c.style == script.Fields, Key: "K"}
		if err := s.Add("/script", c.source, options(c.style)).Err(); err != nil {
			t.Fatal(err)
		}
		got := "error"
		err := s.OnRequest(context.Background(), &pc)
		if err == nil {
			got = string(http.Request.Body()) + "|" + string(http.Request.Header.Peek("X-A"))
		}
		var f *message.Failure
		if got != c.want || err != nil && (!errors.As(err, &f) || f.Key != "K") {
			t.Errorf("%s: %s, %v; want %s", c.source, got, err, c.want)
		}
		s = script.Step{Content: true, Override: true, Key: "K"}
		if err := s.Add("/script", `result.code`, options(c.style)).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.OnResponse(context.Background(), &pc); err != nil || string(http.Response.Body()) != "500" {
			t.Errorf("response: %q, %v", http.Response.Body(), err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"1", "let [a=1,{b=2}]=[]", "`${a}${b}`", "a[0]+=b", "class A{static{}}", "for(var a in b)c", "label:{break label}"} {
		f.Add(s)
	}
	o := options(script.Methods)
	o.Time, o.Memory = 5*time.Millisecond, 1<<20
	f.Fuzz(func(t *testing.T, source string) {
		p, err := script.Compile(source, o)
		if err != nil {
			return
		}
		m := &message.Message{Content: []byte("{}")}
		var c policies.Context
		c.Init(&exchange.Exchange{}, nil)
		_, _ = p.Run(&script.Subject{Context: &c, Message: m, Content: true})
	})
}
