package kafka

import (
	"strings"
	"testing"
)

func TestPattern_MatchesWholeNamesAsJava(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ pattern, matches, others string }{
		{`orders-.*`, "orders- orders-eu", "orders my-orders-eu"},
		{`a|b`, "a b", "ab xa bx"},
		{`^orders\.(eu|us)$`, "orders.eu orders.us", "orders.eu2 ordersxeu"},
		{`\p{Alpha}+-\p{Digit}{2}`, "ab-12", "a1-12 ab-1"},
		{`[\p{Lower}_]+`, "a_b", "A_b"},
		{`\P{Digit}+`, "abc", "a1"},
		{`(?i)ORDERS`, "orders Orders", "order"},
		{`(?<region>eu|us)-x`, "eu-x", "x"},
		{`\Qa.b\E.*`, "a.b a.bc", "aXb"},
		{`\u0061+`, "a aa", "b"},
		{`x.+?\Z`, "xy xyz", "x"},
		{`a{2,3}`, "aa aaa", "a aaaa"},
		{`a{2}?b`, "aab", "ab"},
		{`[^]a]+`, "b", "a"},
		{`a\+*`, "a", "b"},
	} {
		p, err := newPattern(tc.pattern)
		if err != nil {
			t.Errorf("%s: %v", tc.pattern, err)
			continue
		}
		for name := range strings.FieldsSeq(tc.matches) {
			if !p.match.MatchString(name) {
				t.Errorf("%s does not match %s", tc.pattern, name)
			}
		}
		for name := range strings.FieldsSeq(tc.others) {
			if p.match.MatchString(name) {
				t.Errorf("%s matches %s", tc.pattern, name)
			}
		}
	}
}

func TestPattern_RefusesWithPosition(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ pattern, want string }{
		{`(?!internal).*`, "at character 1: look-around"},
		{`a(?<=b)`, "at character 2: look-around"},
		{`(a)\1`, "at character 4: back references"},
		{`a*+`, "at character 3: possessive"},
		{`a{2}+`, "at character 5: possessive"},
		{`x(?>a)`, "at character 2: atomic"},
		{`[a-z&&[^b]]`, "at character 5: intersections"},
		{`[a[bc]]`, "at character 3: classes within"},
		{`ab(c`, "missing closing )"},
		{`ab[c`, "at character 3: missing closing ]"},
		{`a**`, "at character 2: invalid nested repetition operator"},
		{`a\`, `at character 2: nothing is behind \`},
		{`\p{javaLowerCase}`, "at character 1: invalid character class range"},
		{strings.Repeat("a", maxPattern+1), "is longer than"},
	} {
		_, err := newPattern(tc.pattern)
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%.40s: %v, not %s", tc.pattern, err, tc.want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{`orders-.*`, `\p{Alpha}[^]a]\Qx\E`, `(?<n>a)\u0061`, `[a&&b]`, `a*+`, `\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := newPattern(text); err == nil {
			p.match.MatchString("orders")
		}
	})
}
