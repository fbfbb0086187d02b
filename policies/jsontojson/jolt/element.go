package jolt

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

type elementKind uint8

const (
	literal elementKind = iota
	amp                 // &(1,0)
	starRegex
	starDouble
	starSingle
	starAll
	at        // @
	dollar    // $(1,0)
	hash      // #text
	transpose // @(1,path)
	array     // [...]
)

type arrayKind uint8

const (
	expand     arrayKind = iota // []
	reference                   // [&1]
	counted                     // [#1]
	transposed                  // [@(1,path)]
	explicit                    // [3]
)

// element is one key of a specification, or one part of a path.
type element struct {
	kind      elementKind
	raw       string
	canonical string

	prefix, mid, suffix string // of stars
	pattern             *regexp.Regexp
	tokens              []ampToken // of amp
	up, group           int        // of dollar, transpose, and arrays' references
	array               arrayKind
	sub                 *element // of transposed
	below               *path    // of transpose; nil: the value itself
}

// ampToken is text or a reference.
type ampToken struct {
	text      string
	isRef     bool
	up, group int
}

func (e *element) star() bool { return e.kind >= starRegex && e.kind <= starAll }

// parseKey reads a key of a specification.
func parseKey(key string) (*element, error) {
	inspect, text := key, key
	if strings.Contains(key, `\`) {
		inspect, text = withoutEscaped(key), withoutEscapes(key)
	}
	many := func(s string) int { return strings.Count(inspect, s) }
	switch {
	case inspect == "@":
		return &element{kind: at, raw: text, canonical: "@"}, nil
	case inspect == "*":
		return &element{kind: starAll, raw: "*", canonical: "*"}, nil
	case strings.HasPrefix(inspect, "["):
		return bracketed(key, text, many)
	case strings.HasPrefix(inspect, "@") || strings.Contains(inspect, "@("):
		return parseTranspose(key)
	case strings.Contains(inspect, "@"):
		return nil, fmt.Errorf("the key %q has an @ that is not at its front", key)
	case strings.Contains(inspect, "$"):
		up, group, err := parseReference('$', text)
		return &element{kind: dollar, raw: text, up: up, group: group, canonical: fmt.Sprintf("$(%d,%d)", up, group)}, err
	case strings.Contains(inspect, "["):
		return bracketed(key, text, many)
	case strings.Contains(inspect, "&"):
		if strings.Contains(inspect, "*") {
			return nil, fmt.Errorf("the key %q mixes * and &", key)
		}
		return parseAmp(text)
	case strings.Contains(inspect, "*"):
		return parseStar(text, strings.Count(inspect, "*"))
	case strings.Contains(inspect, "#"):
		return parseHash(text)
	}
	return &element{kind: literal, raw: text, canonical: strings.ReplaceAll(text, ".", `\.`)}, nil
}

func bracketed(key, text string, many func(string) int) (*element, error) {
	if many("[") != 1 || many("]") != 1 {
		return nil, fmt.Errorf("the key %q has too many or too few brackets", key)
	}
	return parseArray(text)
}

// withoutEscaped is a key without its backslashes and the characters behind them.
func withoutEscaped(key string) string {
	var b strings.Builder
	escaped := false
	for _, c := range key {
		if c == '\\' {
			escaped = !escaped
			continue
		}
		if !escaped {
			b.WriteRune(c)
		}
		escaped = false
	}
	return b.String()
}

// withoutEscapes is a key without its backslashes.
func withoutEscapes(key string) string {
	var b strings.Builder
	escaped := false
	for _, c := range key {
		if c == '\\' && !escaped {
			escaped = true
			continue
		}
		b.WriteRune(c)
		escaped = false
	}
	return b.String()
}

// parseReference reads &, &1, &(1) or &(1,0), with another sign than & as well.
func parseReference(sign byte, text string) (up, group int, err error) {
	bad := fmt.Errorf("%q is not a reference such as %c1 or %c(1,0)", text, sign, sign)
	if text == "" || text[0] != sign {
		return 0, 0, bad
	}
	meat := text[1:]
	if meat == "" {
		return 0, 0, nil
	}
	if len(meat) >= 3 && meat[0] == '(' && meat[len(meat)-1] == ')' {
		first, second, two := strings.Cut(meat[1:len(meat)-1], ",")
		if two && second != "" {
			if group, err = strconv.Atoi(second); err != nil || group < 0 {
				return 0, 0, bad
			}
		}
		meat = first
	}
	if up, err = strconv.Atoi(meat); err != nil || up < 0 {
		return 0, 0, bad
	}
	return up, group, nil
}

func parseAmp(key string) (*element, error) {
	e := &element{kind: amp, raw: key}
	for i := 0; i < len(key); {
		if key[i] != '&' {
			end := strings.IndexByte(key[i:], '&')
			if end < 0 {
				end = len(key) - i
			}
			e.tokens = append(e.tokens, ampToken{text: key[i : i+end]})
			e.canonical += key[i : i+end]
			i += end
			continue
		}
		end := i + 1
		for end < len(key) && strings.IndexByte("0123456789(),", key[end]) >= 0 {
			end++
		}
		up, group, err := parseReference('&', key[i:end])
		if err != nil {
			return nil, err
		}
		e.tokens = append(e.tokens, ampToken{isRef: true, up: up, group: group})
		e.canonical += fmt.Sprintf("&(%d,%d)", up, group)
		i = end
	}
	return e, nil
}

func parseArray(key string) (*element, error) {
	if key[0] != '[' || key[len(key)-1] != ']' {
		return nil, fmt.Errorf("%q is not an array key such as [], [2] or [&1]", key)
	}
	e := &element{kind: array, raw: key, canonical: "[]"}
	meat := key[1 : len(key)-1]
	if meat == "" {
		return e, nil
	}
	var err error
	switch meat[0] {
	case '&':
		e.array = reference
		e.up, e.group, err = parseReference('&', meat)
		e.canonical = fmt.Sprintf("[&(%d,%d)]", e.up, e.group)
	case '#':
		e.array = counted
		if len(meat) > 1 {
			if e.up, err = strconv.Atoi(meat[1:]); err != nil || e.up < 0 {
				err = fmt.Errorf("%q is not an array key such as [#2]", key)
			}
		}
		e.canonical = fmt.Sprintf("[#%d]", e.up)
	case '@':
		e.array = transposed
		if e.sub, err = parseTranspose(meat); err == nil {
			e.canonical = "[" + e.sub.canonical + "]"
		}
	default:
		e.array = explicit
		e.canonical = key
		if n, bad := strconv.Atoi(meat); bad != nil || n < 0 || n > maxIndex {
			err = fmt.Errorf("%q is not an index from 0 to %d", key, maxIndex)
		} else {
			e.up = n
		}
	}
	return e, err
}

func parseStar(key string, stars int) (*element, error) {
	e := &element{raw: key, canonical: key}
	switch stars {
	case 1:
		e.kind = starSingle
		e.prefix, e.suffix, _ = strings.Cut(key, "*")
	case 2:
		e.kind = starDouble
		parts := strings.SplitN(key, "*", 3)
		if len(parts) < 3 || parts[1] == "" {
			return nil, fmt.Errorf("the key %q has stars beside each other", key)
		}
		e.prefix, e.mid, e.suffix = parts[0], parts[1], parts[2]
	default:
		e.kind = starRegex
		var err error
		if e.pattern, err = regexp.Compile("^" + strings.ReplaceAll(regexp.QuoteMeta(key), `\*`, "(.+?)") + "$"); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func parseHash(key string) (*element, error) {
	if len(key) <= 1 || key[0] != '#' {
		return nil, fmt.Errorf("the key %q is not # and a text", key)
	}
	text := key[1:]
	if text[0] == '(' {
		if text[len(text)-1] != ')' {
			return nil, fmt.Errorf("the key %q has no )", key)
		}
		text = text[1 : len(text)-1]
	}
	return &element{kind: hash, raw: text, canonical: "#(" + text + ")"}, nil
}

// parseTranspose reads @path, @(path), @(1) and @(1,path).
func parseTranspose(key string) (*element, error) {
	if len(key) < 2 || key[0] != '@' {
		return nil, fmt.Errorf("%q is not @ with a path behind it", key)
	}
	meat := key[1:]
	switch {
	case strings.Contains(meat, "@"):
		return nil, fmt.Errorf("%q has an @ within an @", key)
	case strings.Contains(meat, "*") || strings.Contains(meat, "[]"):
		return nil, fmt.Errorf("%q has * or [], which an @ cannot have", key)
	}
	if meat[0] == '(' {
		if meat[len(meat)-1] != ')' || len(meat) < 3 {
			return nil, fmt.Errorf("%q has no ) or nothing in parentheses", key)
		}
		meat = meat[1 : len(meat)-1]
	}
	e := &element{kind: transpose, raw: key}
	if meat[0] >= '0' && meat[0] <= '9' {
		number, rest, _ := strings.Cut(meat, ",")
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("%q has no number before the comma", key)
		}
		e.up, meat = n, rest
	}
	if meat == "" {
		e.canonical = fmt.Sprintf("@(%d,)", e.up)
		return e, nil
	}
	var err error
	if e.below, err = parsePath(meat); err != nil {
		return nil, err
	}
	e.canonical = fmt.Sprintf("@(%d,%s)", e.up, e.below.canonical())
	return e, nil
}

// matches tells whether a star fits a text.
func (e *element) matches(text string) bool {
	switch e.kind {
	case starAll:
		return true
	case starSingle:
		return strings.HasPrefix(text, e.prefix) && strings.HasSuffix(text, e.suffix) && len(text) > len(e.prefix)+len(e.suffix)
	case starDouble:
		return strings.HasPrefix(text, e.prefix) && strings.HasSuffix(text, e.suffix) && e.middle(text) > 0
	case starRegex:
		return e.pattern.MatchString(text)
	}
	return false
}

// middle is where the text between two stars begins; -1: nowhere.
func (e *element) middle(text string) int {
	start, end := len(e.prefix)+1, len(text)-len(e.suffix)-1
	if start >= end {
		return -1
	}
	if i := strings.Index(text[start:end], e.mid); i >= 0 {
		return start + i
	}
	return -1
}

// match is what a key of a document is matched as; nil: it is not.
func (e *element) match(r *run, key string) (*matched, error) {
	last := &r.walked[len(r.walked)-1]
	switch e.kind {
	case literal:
		if e.raw == key {
			return &matched{raw: key, size: none}, nil
		}
		return nil, nil
	case at, transpose:
		return last.matched, nil
	case hash:
		return &matched{raw: e.raw, size: none}, nil
	case dollar:
		text, err := r.group(e.up, e.group)
		return &matched{raw: text, size: none}, err
	case amp:
		text, err := e.join(r)
		if err != nil || text != key {
			return nil, err
		}
		return &matched{raw: key, size: none}, nil
	case array:
		if e.raw[1:len(e.raw)-1] != key || last.size() == none {
			return nil, nil
		}
		return &matched{raw: key, size: last.size()}, nil
	}
	if !e.matches(key) {
		return nil, nil
	}
	m := &matched{raw: key, size: none}
	switch e.kind {
	case starAll:
		m.size = last.size()
	case starSingle:
		m.subs = []string{key[len(e.prefix) : len(key)-len(e.suffix)]}
	case starDouble:
		mid := e.middle(key)
		m.subs = []string{key[len(e.prefix):mid], key[mid+len(e.mid) : len(key)-len(e.suffix)]}
	default:
		m.subs = e.pattern.FindStringSubmatch(key)[1:]
	}
	return m, nil
}

// join is the text of an & key.
func (e *element) join(r *run) (string, error) {
	var b strings.Builder
	for _, t := range e.tokens {
		text := t.text
		if t.isRef {
			var err error
			if text, err = r.group(t.up, t.group); err != nil {
				return "", err
			}
		}
		if b.WriteString(text); b.Len() > maxText {
			return "", ErrLimit
		}
	}
	return b.String(), nil
}

var errNoLevel = errors.New("a reference leads above the top of the document")

// evaluate is the text of a part of a path; ok false: it has none now, and the path leads nowhere.
func (e *element) evaluate(r *run) (text string, ok bool, err error) {
	switch e.kind {
	case literal:
		return e.raw, true, nil
	case amp:
		text, err = e.join(r)
		return text, true, err
	case dollar:
		text, err = r.group(e.up, e.group)
		return text, true, err
	case transpose:
		return e.text(r)
	}
	switch e.array {
	case expand:
		return "[]", true, nil
	case explicit:
		return e.raw[1 : len(e.raw)-1], true, nil
	case counted:
		s, err := r.level(e.up)
		if err != nil {
			return "", false, err
		}
		return strconv.Itoa(s.matched.count), true, nil
	case transposed:
		text, ok, err = e.sub.text(r)
	case reference:
		text, err = r.group(e.up, e.group)
		ok = true
	}
	if n, bad := strconv.Atoi(text); bad != nil || n < 0 {
		ok = false
	}
	return text, ok, err
}

// text is the value of an @ as a key.
func (e *element) text(r *run) (string, bool, error) {
	v, ok, err := e.value(r)
	if err != nil || !ok {
		return "", false, err
	}
	switch x := v.(type) {
	case string:
		return x, true, nil
	case bool:
		return strconv.FormatBool(x), true, nil
	}
	if n, ok := toInt(v); ok {
		return strconv.Itoa(int(n)), true, nil
	}
	return "", false, nil
}

// value is the value of an @; ok false: there is none.
func (e *element) value(r *run) (v any, ok bool, err error) {
	s, err := r.level(e.up)
	if err != nil {
		return nil, false, err
	}
	if e.below == nil {
		return s.tree, true, nil
	}
	return e.below.read(r, s.tree)
}
