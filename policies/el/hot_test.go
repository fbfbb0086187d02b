//go:build !race

package el_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/policies/el"
)

// Conditions as they are written for every message allocate nothing, those included that fail on a missing header.
func TestEval_AllocatesNothing(t *testing.T) {
	scope := newScope()
	for _, src := range []string{
		"{#message.headers['foo'] == #subscription.metadata['bar']}",
		"{#message.headers.foo == #subscription.metadata['bar']}",
		"{#request.headers['X-Type'][0] == 'a'}",
		"{#request.headers['X-Many'] == 'v1' and #request.method == 'POST'}",
		"{#request.params['q'][0] == 'one' || #response.status == 200}",
		"{#message.headers['Nope'][0] == 'a'}",
		"{#message.headers['Nope'] == null or #message.contentLength > 10}",
		"{#message.content.contains('price') && !#message.error}",
		"{#message.metadata['offset'] % 2 == 0}",
		"{#message.attributes['n'] + 1 > 3 ? true : false}",
		"{#subscription.metadata['foo'] matches 'v.'}",
		"{#message.headers['foo'] matches #subscription.metadata['filter']}",
		"{(#properties['k'] ?: 'none') != 'none'}",
		"{#jsonPath(#message.content, '$.a.b') == 5}", // parsed once per message
		"{#message.topic.startsWith('ord')}",
		"{(1 + 2 * 3 > 5)}",
		"true",
	} {
		tmpl := parse(t, src)
		if n := testing.AllocsPerRun(500, func() { _, _ = tmpl.EvalBool(scope) }); n != 0 {
			t.Errorf("%s: %v allocations", src, n)
		}
	}
}

// A template appends into memory that is there.
func TestAppendString_AllocatesNothing(t *testing.T) {
	scope := newScope()
	dst := make([]byte, 0, 1_024)
	for _, src := range []string{
		"constant", "{#message.metadata['topic']}-{#message.headers['foo']}-{#subscription.id}-{#message.offset}-{#api.name}",
		"{#request.headers['X-Many']}", `{"id": "{#message.id}"}`,
	} {
		tmpl := parse(t, src)
		if n := testing.AllocsPerRun(500, func() {
			if out, err := tmpl.AppendString(dst, scope); err != nil || len(out) == 0 {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", src, n)
		}
	}
}

func benchmark(b *testing.B, src string, each func(tmpl *el.Template, s *el.Exchange)) {
	scope := newScope()
	tmpl := parse(b, src)
	b.ReportAllocs()
	for b.Loop() {
		each(tmpl, scope)
	}
}

func condition(tmpl *el.Template, s *el.Exchange) { _, _ = tmpl.EvalBool(s) }

func BenchmarkConstant(b *testing.B) { benchmark(b, "true", condition) }
func BenchmarkHeaderOfMessage(b *testing.B) {
	benchmark(b, "{#message.headers['foo'] == #subscription.metadata['bar']}", condition)
}
func BenchmarkHeaderOfRequest(b *testing.B) {
	benchmark(b, "{#request.headers['X-Type'][0] == 'a'}", condition)
}
func BenchmarkMissingHeader(b *testing.B) {
	benchmark(b, "{#message.headers['Nope'][0] == 'a'}", condition)
}
func BenchmarkMatches(b *testing.B) {
	benchmark(b, "{#message.headers['foo'] matches 'bar-[a-z]+'}", condition)
}

// The message is another each time, so that it is parsed each time.
func BenchmarkJSONPath(b *testing.B) {
	m := newMessage()
	benchmark(b, "{#jsonPath(#message.content, '$.items[0].price') > 5}", func(tmpl *el.Template, s *el.Exchange) {
		s.SetMessage(m)
		condition(tmpl, s)
	})
}
func BenchmarkJSONPathFilter(b *testing.B) {
	benchmark(b, "{#jsonPath(#message.content, '$.items[?(@.price > 15)].name').size() > 0}", condition)
}
func BenchmarkTemplate(b *testing.B) {
	dst := make([]byte, 0, 256)
	benchmark(b, "{#message.topic}-{#message.headers['foo']}-{#subscription.id}-{#message.offset}-{#api.name}",
		func(tmpl *el.Template, s *el.Exchange) { _, _ = tmpl.AppendString(dst, s) })
}
func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = el.Parse("{#message.headers['foo'] == #subscription.metadata['bar']}", el.Options{})
	}
}
