package el_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// What every expression of the table prints parses into what prints the same and has the same outcome.
func TestTemplate_PrintsWhatItParses(t *testing.T) {
	t.Parallel()
	volatile := []string{"now()", "random", "currentTimeMillis"}
	for _, list := range cases {
		for _, c := range list {
			tmpl, err := el.Parse(c[0], el.Options{})
			if err != nil {
				continue
			}
			printed := tmpl.String()
			again, err := el.Parse(printed, el.Options{})
			if err != nil {
				t.Errorf("%s\nprints %s\n%v", c[0], printed, err)
				continue
			}
			if again.String() != printed {
				t.Errorf("%s\nprints %s\n  then %s", c[0], printed, again.String())
			}
			if slices.ContainsFunc(volatile, func(s string) bool { return strings.Contains(c[0], s) }) {
				continue
			}
			if got := outcome(printed, newScope()); got != c[1] {
				t.Errorf("%s\nprints %s\nwith %s, not %s", c[0], printed, got, c[1])
			}
		}
	}
}

func TestTemplate_EvalBool(t *testing.T) {
	t.Parallel()
	scope := newScope()
	for _, c := range []struct {
		src  string
		want bool
		code el.Code
	}{
		{"{#n == 5}", true, ""}, {"{#nothing}", false, ""}, {"true", true, ""}, {"yes", true, ""}, {"on", true, ""}, {"1", true, ""},
		{"off", false, ""}, {"no", false, ""}, {"0", false, ""}, {"", false, ""}, {"{#one}", true, ""}, {"{(2)}", true, ""},
		{"{#message.headers.foo == #subscription.metadata['bar']}", true, ""}, {"#n == 5", false, el.CodeConversion},
		{"1 == 1", false, el.CodeConversion}, {"{#t}", false, el.CodeConversion}, {"{#m}", false, el.CodeConversion}, {"{#n == 5} ", true, ""},
		{"{#request.headers['Nope'][0] == 'a'}", false, el.CodeNull}, {"{#nothing.x}", false, el.CodeNull},
	} {
		got, err := parse(t, c.src).EvalBool(scope)
		if got != c.want || codeOf(err) != c.code {
			t.Errorf("%s: %v, %v; want %v, %s", c.src, got, err, c.want, c.code)
		}
	}
}

func codeOf(err error) el.Code {
	var bad *el.Error
	if errors.As(err, &bad) {
		return bad.Code
	}
	return ""
}

func TestTemplate_EvalInt(t *testing.T) {
	t.Parallel()
	scope := newScope()
	for _, c := range []struct {
		src  string
		want int64
		ok   bool
		code el.Code
	}{
		{"{#n}", 5, true, ""}, {"42", 42, true, ""}, {" 42 ", 42, true, ""}, {"{#nothing}", 0, false, ""}, {"{(2.9)}", 2, true, ""},
		{"{#request.headers['X-Number']}", 42, true, ""}, {"1{#n}", 15, true, ""}, {"{#t}", 0, false, el.CodeConversion},
		{"{(1e30)}", 0, false, el.CodeConversion}, {"{({1,2})}", 0, false, el.CodeConversion},
	} {
		got, ok, err := parse(t, c.src).EvalInt(scope)
		if got != c.want || ok != c.ok || codeOf(err) != c.code {
			t.Errorf("%s: %v, %v, %v; want %v, %v, %s", c.src, got, ok, err, c.want, c.ok, c.code)
		}
	}
	if _, _, err := parse(t, "{(3000000000L)}").EvalInt32(scope); codeOf(err) != el.CodeConversion {
		t.Errorf("a number of 33 bits as one of 32: %v", err)
	}
}

func TestTemplate_EvalString(t *testing.T) {
	t.Parallel()
	scope := newScope()
	for _, c := range []struct {
		src, want string
		ok        bool
		code      el.Code
	}{
		{"plain", "plain", true, ""}, {"{#n}", "5", true, ""}, {"{#nothing}", "", false, ""}, {"a{#nothing}", "a", true, ""},
		{"{#request.headers['X-Many']}", "v1,v2", true, ""}, {"{(1.0)}", "1.0", true, ""}, {"{#m}", "", false, el.CodeConversion},
		{"x{#m}", "", false, el.CodeConversion}, {"x{#nothing.y}", "", false, el.CodeNull},
	} {
		got, ok, err := parse(t, c.src).EvalString(scope)
		if got != c.want || ok != c.ok || codeOf(err) != c.code {
			t.Errorf("%s: %q, %v, %v; want %q, %v, %s", c.src, got, ok, err, c.want, c.ok, c.code)
		}
		dst, err := parse(t, c.src).AppendString([]byte("> "), scope)
		if string(dst) != "> "+c.want || codeOf(err) != c.code {
			t.Errorf("%s appended: %q, %v", c.src, dst, err)
		}
	}
}

func TestParse_BareRule(t *testing.T) {
	t.Parallel()
	scope := newScope()
	for src, want := range map[string]bool{"#context.attributes['plan'] == 'p-1'": true, "{#n == 5}": true, "#n > 5": false} {
		tmpl, err := el.Parse(src, el.Options{Bare: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tmpl.EvalBool(scope); got != want || err != nil {
			t.Errorf("%s: %v, %v", src, got, err)
		}
		if again, err := el.Parse(tmpl.String(), el.Options{Bare: true}); err != nil || again.String() != tmpl.String() {
			t.Errorf("%s prints %s: %v", src, tmpl.String(), err)
		}
	}
	if _, err := el.Parse("#n == 5 and", el.Options{Bare: true}); codeOf(err) != el.CodeSyntax {
		t.Errorf("a rule without an end: %v", err)
	}
	if _, err := el.Parse("#n == 5 }", el.Options{Bare: true}); codeOf(err) != el.CodeSyntax {
		t.Errorf("a rule that goes on: %v", err)
	}
}

// As the reference has it, all values of a header never equal a text.
func TestParse_StrictLists(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]bool{"{#message.headers.foo == 'bar-value'}": false, "{#message.headers.foo[0] == 'bar-value'}": true,
		"{#message.headers.foo == {'bar-value'}}": true} {
		tmpl, err := el.Parse(src, el.Options{StrictLists: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tmpl.EvalBool(newScope()); got != want || err != nil {
			t.Errorf("%s: %v, %v", src, got, err)
		}
	}
}

// An error says what, where and what to do.
func TestParse_ErrorsTellWhere(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"{#a == 3000000000}":                  "1:8: 3000000000 does not fit an integer (write 3000000000L)",
		"line\n {#message.contnt == 'x'}":     `2:12: #message has no member "contnt"`,
		"{#a matches 'x(?=y)'}":               "1:15: the pattern 'x(?=y)' looks around, which cannot be tried in linear time",
		"{T(java.lang.Runtime).getRuntime()}": "1:4: the class java.lang.Runtime is not on the allow-list",
		"{#a.foo()}":                          "1:5: the method foo is not on the allow-list",
		"{#a == 'x}":                          "1:8: a text literal has no end",
		"{(foo)}":                             "1:3: the name foo stands alone (a variable is written #foo, a text 'foo')",
		"{#a":                                 "1:4: the expression goes on behind its end with the end of the text (close it with })",
	} {
		_, err := el.Parse(src, el.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", src, err, want)
		}
	}
	_, err := parse(t, "ab {#nothing.x}").EvalBool(newScope())
	if want := `1:14: cannot read "x" of null (use ?. where it may be null)`; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestParse_Limits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		src  string
		code el.Code
	}{
		"text":  {strings.Repeat("x", 1<<20), el.CodeTooLong},
		"depth": {"{" + strings.Repeat("(", 10_000) + "1" + strings.Repeat(")", 10_000) + "}", el.CodeTooDeep},
		"lists": {"{(" + strings.Repeat("{", 10_000) + strings.Repeat("}", 10_000) + ")}", el.CodeTooDeep},
		"not":   {"{(" + strings.Repeat("!", 10_000) + "true)}", el.CodeTooDeep},
		"nodes": {"{(1" + strings.Repeat("+1", 10_000) + ")}", el.CodeTooManyParts},
		"regex": {"{('x' matches '((a{100}){100}){100}')}", el.CodeRegex},
		"else":  {"{(" + strings.Repeat("true?1:", 10_000) + "1)}", el.CodeTooDeep},
	} {
		if _, err := el.Parse(c.src, el.Options{}); codeOf(err) != c.code {
			t.Errorf("%s: %.100v, want %s", name, err, c.code)
		}
	}
}

func TestEval_Limits(t *testing.T) {
	t.Parallel()
	scope := newScope()
	many := make([]any, 40_000)
	for i := range many {
		many[i] = i
	}
	scope.Other["many"] = el.Of(many)
	scope.Other["long"] = el.OfText(strings.Repeat("x", 5<<20))
	scope.Other["deep"] = el.OfText(strings.Repeat("[", 1_000) + strings.Repeat("]", 1_000))
	scope.Other["wide"] = el.OfText("[" + strings.Repeat("1,", 300_000) + "1]")
	scope.Other["deepXML"] = el.OfText(strings.Repeat("<a>", 1_000) + strings.Repeat("</a>", 1_000))
	for src, want := range map[string]el.Code{
		"{#many.![#many.?[#this == 1]]}":                       el.CodeSteps,
		"{#many.containsAll(#many)}":                           el.CodeSteps,
		"{#long matches 'x*'}":                                 el.CodeSize,
		"{(#long.substring(0, 4000000) matches '(x?){900}y')}": el.CodeSteps,
		"{#many.?[#long.contains('y')]}":                       el.CodeSteps,
		"{#many.?[#long.hashCode() == 1]}":                     el.CodeSteps,
		"{#many.?[#jsonPath(#json, '$..*').size() == 1]}":      el.CodeSteps,
		"{#long.replaceAll('x', 'y')}":                         el.CodeSize,
		"{#long.replace('x', 'yyyy')}":                         el.CodeSize,
		"{#long.split('x')}":                                   el.CodeSize,
		"{(#long + #long)}":                                    el.CodeSize,
		"{#long}{#long}":                                       el.CodeSize,
		"{#jsonPath(#deep, '$')}":                              el.CodeSize,
		"{#jsonPath(#wide, '$')}":                              el.CodeSize,
		"{#jsonPath(#long + #long, '$')}":                      el.CodeSize,
		"{#xpath(#deepXML, '/a')}":                             el.CodeSize,
		"{T(String).format('%999999s', 'x')}":                  el.CodeArgument,
		"{T(String).join(#long, 'a','b','c')}":                 el.CodeSize,
	} {
		if _, err := parse(t, src).Eval(scope); codeOf(err) != want {
			t.Errorf("%s: %.100v, want %s", src, err, want)
		}
	}
}

// What Eval returns stays when the message's memory is used for another.
func TestEval_ResultsOwnTheirMemory(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"{#message.content}": "'first'", "{#message.headers['h']}": "{'first'}", "{#message.headers['h'][0]}": "'first'",
		"{#message.content.substring(1)}": "'irst'", "{#message.content.trim()}": "'first'", "{#message.content.split('r')}": "{'fi', 'st'}",
		"{({#message.content})}": "{'first'}", "{({a: #message.content})}": "{a: 'first'}map", "{#message.headers}": "{h: {'first'}}map",
		"{#message.headers.getFirst('h')}": "'first'", "{#message.headers['h'].![#this]}": "{'first'}", "{#message.content ?: 'x'}": "'first'",
		"{#message.headers.toSingleValueMap()}": "{h: 'first'}map", "{(new String(#message.content))}": "'first'", "{#message.attributes}": "{a: 1}map",
		"{#message.headers.?[true].![value]}": "{{'first'}}", "{#message.content.charAt(0)}": "'f'",
	} {
		tmpl := parse(t, src)
		content := []byte("first")
		m := &message.Message{Content: content, Headers: []message.Header{{Name: "h", Value: content}}, Attributes: map[string]any{"a": 1}}
		s := &el.Exchange{}
		s.SetMessage(m)
		v, err := tmpl.Eval(s)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		copy(content, "OTHER")
		m.Attributes["a"] = 2
		if got := show(v); got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
	}
}

func TestExchange_DocumentsFollowTheMessage(t *testing.T) {
	t.Parallel()
	content := []byte(`{"a":1}`)
	s := &el.Exchange{}
	tmpl := parse(t, "{#jsonPath(#message.content, '$.a')}")
	for _, want := range []string{"1", "2"} {
		copy(content, `{"a":`+want+`}`)
		s.SetMessage(&message.Message{Content: content})
		for range 2 {
			if v, err := tmpl.Eval(s); err != nil || show(v) != want {
				t.Errorf("%v, %v; want %s", v, err, want)
			}
		}
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		src                          string
		roots                        []el.Root
		perExchange, perMessage, doc bool
	}{
		{"x", nil, false, false, false},
		{"{#message.headers['x'] == 'y'}", []el.Root{el.RootMessage}, false, true, false},
		{"{#message.headers.foo == #subscription.metadata['bar']}", []el.Root{el.RootMessage, el.RootSubscription}, true, true, false},
		{"{#jsonPath(#message.content, '$.a')}", []el.Root{el.RootMessage}, false, true, true},
		{"{#message['content']}", []el.Root{el.RootMessage}, false, true, true},
		{"{#message['con' + 'tent']}", []el.Root{el.RootMessage}, false, true, true},
		{"{({#message})}", []el.Root{el.RootMessage}, false, true, true},
		{"{#message.contentLength}", []el.Root{el.RootMessage}, false, true, true},
		{"{#request.headers['x']}", []el.Root{el.RootRequest}, true, false, false},
		{"{#context.attributes['plan']}", []el.Root{el.RootContext}, true, false, false},
		{"{#api.name}{#properties['x']}{#node.id}", []el.Root{el.RootAPI, el.RootProperties, el.RootNode}, false, false, false},
		{"{T(java.util.UUID).randomUUID()}", nil, true, true, false},
		{"{T(Math).random() < 0.5 and #message.id != null}", []el.Root{el.RootMessage}, true, true, false},
		{"{(new java.util.Date())}", nil, true, true, false}, {"{(new java.util.Date(0L))}", nil, false, false, false},
		{"{#message.headers.?[value.size() > #request.headers['n'].size()]}", []el.Root{el.RootRequest, el.RootMessage}, true, true, false},
		{"{#secrets.get('/v/x:k')}", []el.Root{el.RootSecrets}, false, false, false},
		{"{#calloutResponse.status}", []el.Root{el.RootOther}, true, true, false},
	} {
		u := parse(t, c.src).Uses()
		if diff := cmp.Diff(c.roots, u.Roots()); diff != "" || u.PerExchange() != c.perExchange || u.PerMessage() != c.perMessage ||
			u.ReadsContent() != c.doc {
			t.Errorf("%s: per exchange %v, per message %v, content %v %s", c.src, u.PerExchange(), u.PerMessage(), u.ReadsContent(), diff)
		}
	}
	tmpl, err := el.Parse("{#mesage.content}{#group[0]}{#mesage.id}", el.Options{Variables: []string{"group"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"mesage"}, tmpl.Uses().Unknown); diff != "" {
		t.Error(diff)
	}
	request := parse(t, "{#request.content}").Uses()
	response := parse(t, "{#response.jsonContent.x}").Uses()
	if !request.ReadsRequestContent() || request.ReadsContent() || !response.ReadsResponseContent() {
		t.Error("bodies of requests and responses are not told apart")
	}
}

// A name that a policy provides takes the place of the gateway's, with members of its own.
func TestParse_ProvidedVariables(t *testing.T) {
	t.Parallel()
	tmpl, err := el.Parse("{#response.attempt > 2}", el.Options{Variables: []string{"response"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &el.Exchange{Other: map[string]el.Value{"response": el.OfMap(el.AnyMap{"attempt": 3})}}
	if ok, err := tmpl.EvalBool(s); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

// What expressions need of a request is there after its handler has returned, and nothing else.
func TestSnapshotRequest(t *testing.T) {
	t.Parallel()
	texts := []string{"{#request.headers['X-One'][0]}", "{#request.params['q']}", "{#request.method} {#request.path} {#request.host}",
		"{#request.jsonContent.a.b}", "{#request.paths[1]}", "{#request.id}", "{#request.headers.getFirst('x-many')}", "{#request.scheme}",
		"{#request.remoteAddress}", "{#request.content.length()}", "{#request.ssl.client.cn}", "{#request.uri}", "{#request.version}"}
	live := newScope()
	var uses el.Uses
	want := make([]string, len(texts))
	for i, src := range texts {
		uses.Merge(parse(t, src).Uses())
		want[i] = outcome(src, live)
	}
	kept := newScope()
	kept.Request = el.SnapshotRequest(kept.X, uses)
	ctx := kept.X.HTTP
	kept.X.Detach()
	ctx.Request.Reset()
	for i, src := range texts {
		if got := outcome(src, kept); got != want[i] {
			t.Errorf("%s: %s, want %s", src, got, want[i])
		}
	}
	for _, src := range []string{"{#request.headers['X-Number']}", "{#request.timestamp}", "{#request.params['Empty']}"} {
		if got := outcome(src, kept); got != "null" {
			t.Errorf("%s was kept: %s", src, got)
		}
	}
	if el.SnapshotRequest(&exchange.Exchange{HTTP: request()}, parse(t, "{#message.id}").Uses()) != nil {
		t.Error("something was kept that nobody reads")
	}
	all := newScope()
	all.Request = el.SnapshotRequest(all.X, parse(t, "{#request.headers.keySet()}{#request.params.keySet()}").Uses())
	all.X.Detach()
	if got := outcome("{#request.headers['X-Many'].size() + #request.params['q'].size()}", all); got != "4" {
		t.Errorf("all headers: %s", got)
	}
}

func TestExchange_NothingThere(t *testing.T) {
	t.Parallel()
	s := &el.Exchange{}
	for _, root := range []string{"request", "response", "message", "context", "subscription", "api", "properties", "dictionaries", "endpoints",
		"node", "error", "parameters", "secrets", "other"} {
		if got := outcome("{#"+root+"}", s); got != "null" {
			t.Errorf("%s: %s", root, got)
		}
	}
	used := newScope()
	used.Reset()
	if got := outcome("{#message?.id}{#subscription?.id}", used); got != "''" {
		t.Errorf("left behind: %s", got)
	}
}

func TestValue_Any(t *testing.T) {
	t.Parallel()
	v, err := parse(t, "{({a: {1, 2.5, 'x', true, null}, b: #message.headers})}").Eval(newScope())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": []any{int64(1), 2.5, "x", true, nil}, "b": map[string]any{"foo": []any{"bar-value"}, "X-Many": []any{"v1", "v2"},
		"ce_id": []any{"1"}, "empty": []any{""}}}
	if diff := cmp.Diff(want, v.Any()); diff != "" {
		t.Error(diff)
	}
}
