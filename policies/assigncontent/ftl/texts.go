package ftl

import (
	"errors"
	"fmt"
	"html"
	"math/big"
	"net/url"
	"strings"
	"unicode"
)

// worded makes a built-in of a function on texts.
func worded(least, most int, f func(s string, a []string) (any, error)) function {
	return function{least: least, most: most, do: func(r *run, c *call, v any) (any, error) {
		s, err := text(v)
		if err != nil {
			return nil, c.wrong(v, "a text")
		}
		a := make([]string, most)
		for i := range a {
			if a[i], err = c.arg(r, i); err != nil {
				return nil, err
			}
		}
		return f(s, a)
	}}
}

// mapped is a built-in that makes a text of a text.
func mapped(f func(string) string) function {
	return worded(0, 0, func(s string, _ []string) (any, error) { return f(s), nil })
}

// tested is a built-in that asks something of two texts.
func tested(f func(s, t string) bool) function {
	return worded(1, 1, func(s string, a []string) (any, error) { return f(s, a[0]), nil })
}

var texts = map[string]function{
	"upper_case":  mapped(strings.ToUpper),
	"lower_case":  mapped(strings.ToLower),
	"trim":        mapped(func(s string) string { return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }) }),
	"cap_first":   mapped(func(s string) string { return first(s, unicode.ToUpper) }),
	"uncap_first": mapped(func(s string) string { return first(s, unicode.ToLower) }),
	"capitalize":  mapped(capitalise),
	"json_string": mapped(func(s string) string { return script(s, true) }),
	"js_string":   mapped(func(s string) string { return script(s, false) }),
	"html":        mapped(func(s string) string { return strings.ReplaceAll(html.EscapeString(s), "&#34;", "&quot;") }),
	"xml": mapped(func(s string) string {
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(s)
	}),
	"url":            mapped(func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }),
	"chop_linebreak": mapped(func(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r") }),
	"length":         worded(0, 0, func(s string, _ []string) (any, error) { return big.NewRat(int64(len([]rune(s))), 1), nil }),
	"contains":       tested(strings.Contains),
	"starts_with":    tested(strings.HasPrefix),
	"ends_with":      tested(strings.HasSuffix),
	"index_of":       worded(1, 1, func(s string, a []string) (any, error) { return place(s, strings.Index(s, a[0])), nil }),
	"last_index_of":  worded(1, 1, func(s string, a []string) (any, error) { return place(s, strings.LastIndex(s, a[0])), nil }),
	"keep_before":    worded(1, 1, func(s string, a []string) (any, error) { head, _, _ := strings.Cut(s, a[0]); return head, nil }),
	"keep_after":     worded(1, 1, func(s string, a []string) (any, error) { _, tail, _ := strings.Cut(s, a[0]); return tail, nil }),
	"keep_before_last": worded(1, 1, func(s string, a []string) (any, error) {
		if i := strings.LastIndex(s, a[0]); i >= 0 {
			s = s[:i]
		}
		return s, nil
	}),
	"keep_after_last": worded(1, 1, func(s string, a []string) (any, error) {
		if i := strings.LastIndex(s, a[0]); i >= 0 {
			return s[i+len(a[0]):], nil
		}
		return "", nil
	}),
	"remove_beginning": worded(1, 1, func(s string, a []string) (any, error) { return strings.TrimPrefix(s, a[0]), nil }),
	"remove_ending":    worded(1, 1, func(s string, a []string) (any, error) { return strings.TrimSuffix(s, a[0]), nil }),
	"replace": worded(2, 2, func(s string, a []string) (any, error) {
		if a[0] != "" && len(s)+strings.Count(s, a[0])*len(a[1]) > maxOutput {
			return nil, tooLong()
		}
		if a[0] == "" && len(s)*(len(a[1])+1) > maxOutput {
			return nil, tooLong()
		}
		return strings.ReplaceAll(s, a[0], a[1]), nil
	}),
	"split":     worded(1, 1, split),
	"left_pad":  padding(true),
	"right_pad": padding(false),
	"number": worded(0, 0, func(s string, _ []string) (any, error) {
		if n, ok := parseNumber(strings.TrimSpace(s)); ok {
			return n, nil
		}
		return nil, errors.New("?number of a text that is no number")
	}),
	"boolean": worded(0, 0, func(s string, _ []string) (any, error) {
		if s != "true" && s != "false" {
			return nil, errors.New("?boolean of a text that is neither true nor false")
		}
		return s == "true", nil
	}),
}

func first(s string, f func(rune) rune) string {
	done := false
	return strings.Map(func(r rune) rune {
		if done || unicode.IsSpace(r) {
			return r
		}
		done = true
		return f(r)
	}, s)
}

func capitalise(s string) string {
	begins := true
	return strings.Map(func(r rune) rune {
		out := unicode.ToLower(r)
		if begins {
			out = unicode.ToUpper(r)
		}
		begins = unicode.IsSpace(r)
		return out
	}, s)
}

// script is s as it stands between the quotes of a text in JSON or JavaScript. As in FreeMarker, what could end a script or
// begin a comment where the text stands in a page is escaped as well.
func script(s string, json bool) string {
	code := func(r rune) string {
		if json || r > 0xff {
			return fmt.Sprintf("\\u%04X", r)
		}
		return fmt.Sprintf("\\x%02X", r)
	}
	runes := []rune(s)
	var b strings.Builder
	for i, r := range runes {
		switch {
		case r == '\'' && !json, r == '"', r == '\\', r == '/' && (i == 0 || runes[i-1] == '<'), r == '>' && !json && endsSection(runes[:i]):
			b.WriteByte('\\')
			b.WriteRune(r)
		case strings.ContainsRune("\n\r\t\b\f", r):
			b.WriteByte('\\')
			b.WriteByte("btn_fr"[r-'\b'])
		case r == '<' && (i == len(runes)-1 || runes[i+1] == '!' || runes[i+1] == '?'), r == '>' && json && endsSection(runes[:i]),
			r < ' ', r >= 0x7f && r <= 0x9f, r == 0x2028, r == 0x2029:
			b.WriteString(code(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// endsSection tells whether a > behind these characters could end a CDATA section or a comment.
func endsSection(before []rune) bool {
	n := len(before)
	if n == 0 {
		return true
	}
	last := before[n-1]
	return (last == ']' || last == '-') && (n == 1 || before[n-2] == last)
}

// place is an offset in characters; -1: none.
func place(s string, at int) any {
	if at > 0 {
		at = len([]rune(s[:at]))
	}
	return big.NewRat(int64(at), 1)
}

func split(s string, a []string) (any, error) {
	if a[0] == "" {
		return nil, errors.New("?split needs a separator that is not empty")
	}
	if strings.Count(s, a[0]) >= maxItems {
		return nil, ErrLimit
	}
	var out []any
	for _, part := range strings.Split(s, a[0]) {
		out = append(out, part)
	}
	return out, nil
}

// padding is ?left_pad(length, filling) and ?right_pad.
func padding(left bool) function {
	return function{least: 1, most: 2, do: func(r *run, c *call, v any) (any, error) {
		s, err := text(v)
		if err != nil {
			return nil, c.wrong(v, "a text")
		}
		n, err := r.whole(c.args[0])
		if err != nil {
			return nil, err
		}
		with := " "
		if len(c.args) == 2 {
			if with, err = c.arg(r, 1); err != nil {
				return nil, err
			}
		}
		n -= len([]rune(s))
		if with == "" || n > maxOutput {
			return nil, errors.New("?" + c.name + " needs a filling, and a length within bounds")
		}
		if n <= 0 {
			return s, nil
		}
		runes := []rune(strings.Repeat(with, n/len([]rune(with))+2))
		if left {
			return string(runes[:n]) + s, nil
		}
		// What fills the right side goes on as if the text were a part of the pattern.
		shift := len([]rune(s)) % len([]rune(with))
		return s + string(runes[shift:shift+n]), nil
	}}
}
