package el_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/policies/el"
)

// FuzzParse: no text makes the parser panic or take long, what it accepts prints into what it accepts, and evaluating that
// ends too, with a value or an error that has a place.
func FuzzParse(f *testing.F) {
	for _, list := range cases {
		for _, c := range list {
			f.Add(c[0])
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 4_096 {
			return
		}
		start := time.Now()
		tmpl, err := el.Parse(src, el.Options{})
		if err != nil {
			if codeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		printed := tmpl.String()
		again, err := el.Parse(printed, el.Options{})
		// Parentheses and full class names add to a text: what lies at a bound may go beyond it.
		if code := codeOf(err); code == el.CodeTooDeep || code == el.CodeTooManyParts || code == el.CodeTooLong {
			return
		}
		if err != nil || again.String() != printed {
			t.Fatalf("%q prints %q: %v", src, printed, err)
		}
		if got := outcome(src, newScope()); strings.HasPrefix(got, "an error without") {
			t.Fatalf("%q: %s", src, got)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Fatalf("%q took %v", src, took)
		}
	})
}

// FuzzRegex: what is let through of Java's patterns is a pattern of RE2's, however it is written.
func FuzzRegex(f *testing.F) {
	for _, s := range []string{`a.c`, `[a-c&&[^b]]`, `\Qa.b\E`, `(?i)x(?-i)y`, `(?s:.)`, `\p{Alpha}`, `[^]x]`, `[[a][b]]`, `\u0041\x41\0101`,
		`(?<name>x)`, `\R\h\v`, `x{2,3}`, `[\]\-\d]`} {
		f.Add(s, "abc")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 200 || len(text) > 1_000 {
			return
		}
		src := "{('" + strings.ReplaceAll(text, "'", "''") + "' matches '" + strings.ReplaceAll(pattern, "'", "''") + "')}"
		got := outcome(src, newScope())
		if got != "true" && got != "false" && got != string(el.CodeRegex) {
			t.Fatalf("%q: %s", src, got)
		}
		// Where Java and RE2 write a pattern in the same way, they agree.
		if plain := regexp.MustCompile(`^[a-z|()*?+]*$`); plain.MatchString(pattern) && !strings.Contains(pattern, "(?") && !strings.Contains(pattern, "++") {
			re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
			if err == nil && got != string(el.CodeRegex) && (got == "true") != re.MatchString(text) {
				t.Fatalf("%q: %s", src, got)
			}
		}
	})
}

// FuzzDocuments: no body makes the parsers of documents panic or fail without a place.
func FuzzDocuments(f *testing.F) {
	f.Add(jsonBody, "$.items[?(@.price > 15)].name", "/order/item")
	f.Add(xmlBody, "$..*", "count(//item) + 1")
	f.Add(`[1,[2,{"a":[]}]]`, "$[1][1].a[0:1]", "//*[@id='7']/text()")
	f.Fuzz(func(t *testing.T, body, jsonPath, xPath string) {
		if len(body) > 10_000 || len(jsonPath) > 200 || len(xPath) > 200 {
			return
		}
		s := newScope()
		for name, text := range map[string]string{"body": body, "jp": jsonPath, "xp": xPath} {
			s.Other[name] = el.OfText(text)
		}
		for _, src := range []string{"{#jsonPath(#body, #jp)}", "{#xpath(#body, #xp)}", "{#xpath(#body, #xp, 'node_list')}", "{#jsonEscape(#body)}",
			"{#xmlEscape(#body)}"} {
			if got := outcome(src, s); strings.HasPrefix(got, "an error without") {
				t.Fatalf("%s of %q: %s", src, body, got)
			}
		}
	})
}
