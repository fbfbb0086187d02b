package el

import "strings"

// posix are Java's properties of ASCII, as RE2 writes them.
var posix = map[string]string{"Lower": "lower", "Upper": "upper", "ASCII": "ascii", "Alpha": "alpha", "Digit": "digit",
	"Alnum": "alnum", "Punct": "punct", "Graph": "graph", "Print": "print", "Blank": "blank", "Cntrl": "cntrl",
	"XDigit": "xdigit", "Space": "space"}

// unicodeNames are properties that RE2 calls otherwise.
var unicodeNames = map[string]string{"IsAlphabetic": "L", "IsLetter": "L", "IsDigit": "Nd", "IsUppercase": "Lu",
	"IsLowercase": "Ll", "IsPunctuation": "P", "javaLowerCase": "Ll", "javaUpperCase": "Lu", "javaLetter": "L"}

// property reads \p{Name} and \pL.
func (t *translator) property(inClass bool) *regexError {
	kind, rest := t.src[t.at+1], t.src[t.at+2:]
	if !strings.HasPrefix(rest, "{") {
		if rest == "" {
			return t.fail("has a property without a name", "")
		}
		return t.put(`\`+string(kind)+rest[:1], 3)
	}
	name, _, closed := strings.Cut(rest[1:], "}")
	if !closed {
		return t.fail("has a property without an end", "")
	}
	read := 4 + len(name)
	if p, ok := posix[name]; ok {
		p = "[:" + p + ":]"
		if kind == 'P' {
			p = "[:^" + p[2:]
		}
		if inClass {
			return t.put(p, read)
		}
		return t.put("["+p+"]", read)
	}
	if n, ok := unicodeNames[name]; ok {
		name = n
	} else {
		name = strings.TrimPrefix(name, "Is")
	}
	return t.put(`\`+string(kind)+"{"+name+"}", read)
}

// class reads [...]. A class within a class is united with it, as in Java.
func (t *translator) class() *regexError {
	start := t.at
	t.put("[", 1)
	if strings.HasPrefix(t.src[t.at:], "^") {
		t.put("^", 1)
	}
	if err := t.classItems(start, 0); err != nil {
		return err
	}
	return t.put("]", 1)
}

// classItems reads up to the bracket that closes, and leaves it.
func (t *translator) classItems(start, depth int) *regexError {
	first := true
	for t.at < len(t.src) {
		rest := t.src[t.at:]
		switch {
		case rest[0] == ']' && !first:
			return nil
		case rest[0] == ']':
			t.put(`\]`, 1)
		case strings.HasPrefix(rest, "&&"):
			return t.fail("has an intersection of classes, which is not supported", "list the characters")
		case strings.HasPrefix(rest, "[^"):
			return t.fail("has a negated class within a class, which is not supported", "list the characters")
		case rest[0] == '[':
			if depth == maxDepth {
				return t.fail("has classes too deep within each other", "")
			}
			t.put("", 1)
			if err := t.classItems(start, depth+1); err != nil {
				return err
			}
			t.put("", 1)
		case rest[0] == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		default:
			t.put(rest[:1], 1)
		}
		first = false
	}
	t.at = start
	return t.fail("has a class without an end", "")
}
