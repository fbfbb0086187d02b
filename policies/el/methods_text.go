package el

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// onText makes a method of a function of one text.
func onText(f func(s string) Value) impl {
	return impl{0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) { return f(self.text), nil }}
}

// withText makes a method of a function of two texts.
func withText(f func(s, arg string) Value) impl {
	return impl{1, 1, func(m *machine, _ *call, self Value, a []Value) (Value, error) {
		arg, err := argText(m, a[0])
		if err != nil {
			return Value{}, err
		}
		return f(self.text, arg), nil
	}}
}

var textMethods = map[string]impl{
	"length":      onText(func(s string) Value { return OfInt(int64(units(s))) }),
	"isEmpty":     onText(func(s string) Value { return OfBool(s == "") }),
	"isBlank":     onText(func(s string) Value { return OfBool(strings.TrimSpace(s) == "") }),
	"toUpperCase": onText(func(s string) Value { return OfText(strings.ToUpper(s)) }),
	"toLowerCase": onText(func(s string) Value { return OfText(strings.ToLower(s)) }),
	"contains":    withText(func(s, a string) Value { return OfBool(strings.Contains(s, a)) }),
	"endsWith":    withText(func(s, a string) Value { return OfBool(strings.HasSuffix(s, a)) }),
	"equalsIgnoreCase": {1, 1, func(m *machine, _ *call, self Value, a []Value) (Value, error) {
		return OfBool(a[0].kind == Text && strings.EqualFold(self.text, a[0].text)), nil
	}},
	"compareTo": withText(func(s, a string) Value { return OfInt(int64(strings.Compare(s, a))) }),
	"compareToIgnoreCase": withText(func(s, a string) Value {
		return OfInt(int64(strings.Compare(strings.ToLower(s), strings.ToLower(a))))
	}),
	"trim":          keepView(func(s string) string { return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }) }),
	"strip":         keepView(strings.TrimSpace),
	"stripLeading":  keepView(func(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) }),
	"stripTrailing": keepView(func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) }),
	"startsWith":    {1, 2, startsWith},
	"indexOf":       {1, 2, indexOf},
	"lastIndexOf": withText(func(s, a string) Value {
		if i := strings.LastIndex(s, a); i >= 0 {
			return OfInt(int64(units(s[:i])))
		}
		return OfInt(-1)
	}),
	"substring": {1, 2, substring},
	"charAt": {1, 1, func(_ *machine, _ *call, self Value, a []Value) (Value, error) {
		i, err := toLong(a[0])
		if err != nil {
			return Value{}, err
		}
		return charAt(self, i)
	}},
	"concat": {1, 1, func(m *machine, _ *call, self Value, a []Value) (Value, error) {
		if a[0].kind == Null {
			return Value{}, &fault{code: CodeNull, text: "an argument is null"}
		}
		return m.concat(self, a[0])
	}},
	"repeat": {1, 1, func(_ *machine, _ *call, self Value, a []Value) (Value, error) {
		n, err := toLong(a[0])
		if err != nil {
			return Value{}, err
		}
		return repeat(self.text, n)
	}},
	"replace":      {2, 2, replace},
	"replaceAll":   {2, 2, replaceAll},
	"replaceFirst": {2, 2, replaceFirst},
	"matches":      {1, 1, matchesMethod},
	"split":        {1, 2, split},
	"getBytes":     {0, 1, getBytes},
	"toString":     {0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) { return self, nil }},
}

// keepView makes a method that returns a part of its text.
func keepView(f func(string) string) impl {
	return impl{0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
		self.text = f(self.text)
		return self, nil
	}}
}

// units is how many UTF-16 units s has: Java counts and cuts texts by them.
func units(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

// offset returns where the i-th UTF-16 unit of s begins, in bytes; -1: s has fewer than i.
func offset(s string, i int64) int {
	at := 0
	for ; i > 0 && at < len(s); i-- {
		r, size := utf8.DecodeRuneInString(s[at:])
		if r > 0xffff {
			i-- // the second unit of a pair is not cut off from the first
		}
		at += size
	}
	if i > 0 {
		return -1
	}
	return at
}

var outOfText = &fault{code: CodeIndex, text: "the index is beyond the text"}

func charAt(v Value, i int64) (Value, error) {
	at := offset(v.text, i)
	if i < 0 || at < 0 || at == len(v.text) {
		return Value{}, outOfText
	}
	_, size := utf8.DecodeRuneInString(v.text[at:])
	v.text = v.text[at : at+size]
	return v, nil
}

func substring(_ *machine, _ *call, self Value, a []Value) (Value, error) {
	from, err := toLong(a[0])
	if err != nil {
		return Value{}, err
	}
	start, end := offset(self.text, from), len(self.text)
	if len(a) == 2 {
		to, err := toLong(a[1])
		if err != nil {
			return Value{}, err
		}
		if to < from {
			return Value{}, outOfText
		}
		end = offset(self.text, to)
	}
	if from < 0 || start < 0 || end < start {
		return Value{}, outOfText
	}
	self.text = self.text[start:end]
	return self, nil
}

// from is the optional second argument of startsWith and indexOf: where to begin, in UTF-16 units.
func from(s string, a []Value) (start int, err error) {
	if len(a) < 2 {
		return 0, nil
	}
	i, err := toLong(a[1])
	if err != nil {
		return 0, err
	}
	return offset(s, max(i, 0)), nil
}

func startsWith(m *machine, _ *call, self Value, a []Value) (Value, error) {
	arg, err := argText(m, a[0])
	if err != nil {
		return Value{}, err
	}
	start, err := from(self.text, a)
	return OfBool(start >= 0 && strings.HasPrefix(self.text[max(start, 0):], arg)), err
}

func indexOf(m *machine, _ *call, self Value, a []Value) (Value, error) {
	arg, err := argText(m, a[0])
	if err != nil {
		return Value{}, err
	}
	start, err := from(self.text, a)
	if err != nil || start < 0 {
		return OfInt(-1), err
	}
	i := strings.Index(self.text[start:], arg)
	if i < 0 {
		return OfInt(-1), nil
	}
	return OfInt(int64(units(self.text[:start+i]))), nil
}

func replace(m *machine, _ *call, self Value, a []Value) (Value, error) {
	old, err := argText(m, a[0])
	if err != nil {
		return Value{}, err
	}
	by, err := argText(m, a[1])
	if err != nil {
		return Value{}, err
	}
	if n := strings.Count(self.text, old); len(self.text)+n*len(by) > maxResult {
		return Value{}, faultf(CodeSize, "a text of more than %d bytes", maxResult)
	}
	return OfText(strings.ReplaceAll(self.text, old, by)), nil
}

func matchesMethod(m *machine, n *call, self Value, a []Value) (Value, error) {
	re, err := n.pattern.get(a[0])
	if err != nil {
		return Value{}, err
	}
	ok, err := re.match(m, self.text)
	return OfBool(ok), err
}

func replaceAll(m *machine, n *call, self Value, a []Value) (Value, error) {
	return replacePattern(m, n, self, a, -1)
}

func replaceFirst(m *machine, n *call, self Value, a []Value) (Value, error) {
	return replacePattern(m, n, self, a, 1)
}

func replacePattern(m *machine, n *call, self Value, a []Value, most int) (Value, error) {
	re, err := n.pattern.get(a[0])
	if err != nil {
		return Value{}, err
	}
	by, err := argText(m, a[1])
	if err != nil {
		return Value{}, err
	}
	if err := re.count(m, self.text); err != nil {
		return Value{}, err
	}
	out, last := m.buf[:0], 0
	for _, g := range re.re.FindAllStringSubmatchIndex(self.text, most) {
		out = append(out, self.text[last:g[0]]...)
		if out, err = appendReplacement(out, re.re, by, self.text, g); err == nil {
			err = tooLong(out)
		}
		if err != nil {
			return Value{}, err
		}
		last = g[1]
	}
	m.buf = append(out, self.text[last:]...)
	return OfText(string(m.buf)), tooLong(m.buf)
}

// appendReplacement appends what stands for one match: $1 and ${name} are groups, a backslash takes the next as it is.
func appendReplacement(dst []byte, re *regexp.Regexp, by, src string, g []int) ([]byte, error) {
	for i := 0; i < len(by); i++ {
		switch {
		case by[i] == '\\' && i+1 < len(by):
			i++
			dst = append(dst, by[i])
		case by[i] == '$':
			group, read := groupNumber(re, by[i+1:], len(g)/2)
			if group < 0 {
				return dst, &fault{code: CodeRegex, text: "the replacement " + quoteShort(by) + " names no group of the pattern"}
			}
			if g[2*group] >= 0 {
				dst = append(dst, src[g[2*group]:g[2*group+1]]...)
			}
			i += read
		default:
			dst = append(dst, by[i])
		}
	}
	return dst, nil
}

// groupNumber reads a group behind $: as many digits as name one, as Java does, or {name}.
func groupNumber(re *regexp.Regexp, s string, groups int) (group, read int) {
	if name, ok := strings.CutPrefix(s, "{"); ok {
		name, _, _ = strings.Cut(name, "}")
		return re.SubexpIndex(name), len(name) + 2
	}
	group = -1
	for read < len(s) && isDigit(s[read]) {
		n, err := strconv.Atoi(s[:read+1])
		if err != nil || n >= groups {
			break
		}
		group = n
		read++
	}
	return group, read
}

// split cuts as Java does: no empty texts at the end, unless a limit says otherwise, and none at the start for an empty match.
func split(m *machine, n *call, self Value, a []Value) (Value, error) {
	re, err := n.pattern.get(a[0])
	if err != nil {
		return Value{}, err
	}
	limit := int64(0)
	if len(a) == 2 {
		if limit, err = toLong(a[1]); err != nil {
			return Value{}, err
		}
	}
	if err := re.count(m, self.text); err != nil {
		return Value{}, err
	}
	var parts []Value
	last := 0
	for _, g := range re.re.FindAllStringIndex(self.text, -1) {
		if limit > 0 && int64(len(parts)) == limit-1 {
			break
		}
		if g[1] == 0 || g[0] == g[1] && g[0] == len(self.text) {
			continue
		}
		parts = append(parts, Value{kind: Text, text: self.text[last:g[0]], view: self.view})
		last = g[1]
		if len(parts) > maxItems {
			return Value{}, faultf(CodeSize, "a list of more than %d elements", maxItems)
		}
	}
	parts = append(parts, Value{kind: Text, text: self.text[last:], view: self.view})
	for limit == 0 && len(parts) > 1 && parts[len(parts)-1].text == "" {
		parts = parts[:len(parts)-1]
	}
	if limit == 0 && len(parts) == 1 && parts[0].text == "" && last > 0 {
		parts = nil
	}
	v := OfList(parts)
	v.view = self.view
	return v, nil
}

func getBytes(m *machine, _ *call, self Value, a []Value) (Value, error) {
	if err := utf8Only(m, a); err != nil {
		return Value{}, err
	}
	return ofBytes([]byte(self.text)), nil
}

// utf8Only checks an optional name of a character set.
func utf8Only(m *machine, a []Value) error {
	if len(a) == 0 {
		return nil
	}
	name, err := argText(m, a[0])
	if err != nil {
		return err
	}
	if !strings.EqualFold(name, "UTF-8") && !strings.EqualFold(name, "US-ASCII") {
		return faultf(CodeArgument, "the character set %s is not supported, UTF-8 is", quoteShort(name))
	}
	return nil
}
