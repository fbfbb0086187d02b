package el

import (
	"strconv"
	"strings"
)

// regexError is what is wrong with a pattern.
type regexError struct {
	at   int // in bytes from its start
	text string
	hint string
}

// translator rewrites a pattern of java.util.regex for RE2. What cannot be said there is an error: lookaround, back
// references, possessive quantifiers, atomic groups, intersections of classes.
type translator struct {
	src    string
	at     int
	out    strings.Builder
	dotAll []bool // of each open group, whether . matches line ends
}

const noLinear = "cannot be tried in linear time"

func translate(java string) (string, *regexError) {
	t := translator{src: java, dotAll: []bool{false}}
	for t.at < len(t.src) {
		if err := t.one(); err != nil {
			return "", err
		}
	}
	return t.out.String(), nil
}

func (t *translator) fail(text, hint string) *regexError { return &regexError{t.at, text, hint} }

func (t *translator) put(s string, read int) *regexError {
	t.out.WriteString(s)
	t.at += read
	return nil
}

func (t *translator) one() *regexError {
	switch c := t.src[t.at]; c {
	case '\\':
		return t.escape(false)
	case '[':
		return t.class()
	case '(':
		return t.open()
	case ')':
		if len(t.dotAll) > 1 {
			t.dotAll = t.dotAll[:len(t.dotAll)-1]
		}
		return t.put(")", 1)
	case '.':
		if t.dotAll[len(t.dotAll)-1] {
			return t.put(".", 1)
		}
		return t.put(`[^\n\r\x{85}\x{2028}\x{2029}]`, 1)
	case '*', '+', '?', '}':
		if strings.HasPrefix(t.src[t.at+1:], "+") {
			return t.fail("has a possessive quantifier, which "+noLinear, "leave out the second +")
		}
		return t.put(string(c), 1)
	default:
		return t.put(t.src[t.at:t.at+1], 1)
	}
}

// open reads what a group begins with.
func (t *translator) open() *regexError {
	inherited := t.dotAll[len(t.dotAll)-1]
	rest := t.src[t.at:]
	if !strings.HasPrefix(rest, "(?") {
		t.dotAll = append(t.dotAll, inherited)
		return t.put("(", 1)
	}
	switch {
	case hasAnyPrefix(rest, "(?=", "(?!", "(?<=", "(?<!"):
		return t.fail("looks around, which "+noLinear, "match without it, and ask for the rest with and")
	case strings.HasPrefix(rest, "(?>"):
		return t.fail("has an atomic group, which "+noLinear, "write (?: )")
	case strings.HasPrefix(rest, "(?<"), strings.HasPrefix(rest, "(?:"):
		t.dotAll = append(t.dotAll, inherited)
		return t.put(rest[:3], 3)
	}
	return t.flags(rest)
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// flags reads (?i) or (?i:. Flag u says what RE2 does anyway.
func (t *translator) flags(rest string) *regexError {
	end := strings.IndexAny(rest, ":)")
	if end < 0 {
		return t.fail("has a group without an end", "")
	}
	on, kept, dotAll := true, "", t.dotAll[len(t.dotAll)-1]
	for _, c := range rest[2:end] {
		switch c {
		case '-':
			on = false
			kept += "-"
		case 'i', 'm':
			kept += string(c)
		case 's':
			dotAll = on
			kept += "s"
		case 'u':
		default:
			return t.fail("has the flag "+string(c)+", which is not supported", "there are i, m, s and u")
		}
	}
	kept = strings.TrimSuffix(kept, "-")
	if rest[end] == ')' {
		t.dotAll[len(t.dotAll)-1] = dotAll
		if kept == "" {
			return t.put("(?:)", end+1)
		}
		return t.put("(?"+kept+")", end+1)
	}
	t.dotAll = append(t.dotAll, dotAll)
	return t.put("(?"+kept+":", end+1)
}

// outside and inside say what Java's class escapes are, alone and within brackets.
var classEscapes = map[byte][2]string{
	'd': {`[0-9]`, `0-9`}, 'D': {`[^0-9]`, `\D`},
	'w': {`[0-9A-Za-z_]`, `0-9A-Za-z_`}, 'W': {`[^0-9A-Za-z_]`, `\W`},
	's': {`[\t-\r ]`, `\t-\r `}, 'S': {`[^\t-\r ]`, `\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{10ffff}`},
	'h': {"[" + horizontal + "]", horizontal}, 'H': {"[^" + horizontal + "]", ""},
	'v': {"[" + vertical + "]", vertical}, 'V': {"[^" + vertical + "]", ""},
	'R': {`(?:\r\n|[` + vertical + `])`, ""},
}

const (
	horizontal = `\t \x{a0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}`
	vertical   = `\n-\r\x{85}\x{2028}\x{2029}`
)

func (t *translator) escape(inClass bool) *regexError {
	if t.at+1 == len(t.src) {
		return t.fail("ends with a backslash", "")
	}
	c := t.src[t.at+1]
	if e, ok := classEscapes[c]; ok {
		if inClass && e[1] == "" {
			return t.fail(`has \`+string(c)+" in brackets, which is not supported", "")
		}
		if inClass {
			return t.put(e[1], 2)
		}
		return t.put(e[0], 2)
	}
	switch {
	case c == 'Q':
		return t.quote()
	case c == 'p' || c == 'P':
		return t.property(inClass)
	case c == 'u' || c == 'x' || c == '0':
		return t.code(c)
	case c == 'e':
		return t.put(`\x{1b}`, 2)
	case strings.IndexByte("tnrfa", c) >= 0:
		return t.put(t.src[t.at:t.at+2], 2)
	case (c == 'b' || c == 'B' || c == 'A' || c == 'z') && !inClass:
		return t.put(t.src[t.at:t.at+2], 2)
	case c >= '1' && c <= '9' || c == 'k':
		return t.fail("refers back to a group, which "+noLinear, "")
	case isLetter(c) && c != '_' && c != '$':
		return t.fail(`has \`+string(c)+", which is not supported", "")
	case c < 0x80:
		if isDigit(c) || c == '_' || c < 0x20 || c == 0x7f || c == ' ' {
			return t.put(`\x{`+strconv.FormatInt(int64(c), 16)+`}`, 2)
		}
		return t.put(t.src[t.at:t.at+2], 2)
	}
	return t.put("", 1) // a backslash before a character beyond ASCII means the character
}

// quote reads \Q...\E.
func (t *translator) quote() *regexError {
	text, _, closed := strings.Cut(t.src[t.at+2:], `\E`)
	read := 2 + len(text)
	if closed {
		read += 2
	}
	var b strings.Builder
	for _, r := range text {
		b.WriteString(`\x{` + strconv.FormatInt(int64(r), 16) + `}`)
	}
	return t.put(b.String(), read)
}

// code reads a character by its number: uXXXX, xXX, x{X}, 0 with up to three octal digits.
func (t *translator) code(kind byte) *regexError {
	rest := t.src[t.at+2:]
	digits, base, read := "", 16, 2
	switch {
	case kind == 'x' && strings.HasPrefix(rest, "{"):
		digits, _, _ = strings.Cut(rest[1:], "}")
		read += len(digits) + 2
	case kind == '0':
		base = 8
		for len(digits) < 3 && len(digits) < len(rest) && rest[len(digits)] >= '0' && rest[len(digits)] <= '7' {
			digits = rest[:len(digits)+1]
		}
		read += len(digits)
	case kind == 'u':
		digits = rest[:min(4, len(rest))]
		read += 4
	default:
		digits = rest[:min(2, len(rest))]
		read += 2
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n > 0x10ffff || t.at+read > len(t.src) {
		return t.fail("has a character by a number that is wrong", "")
	}
	return t.put(`\x{`+strconv.FormatUint(n, 16)+`}`, read)
}
