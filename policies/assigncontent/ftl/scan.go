package ftl

import (
	"strings"
)

type tokenKind uint8

const (
	textToken tokenKind = iota
	valueToken
	startToken // <#name ...>
	endToken   // </#name>
	commentToken
)

// token is a piece of a template: text, an interpolation or a tag.
type token struct {
	kind tokenKind
	at   int    // offset in the template
	text string // of text, or what is within an interpolation or a tag behind its name
	name string // of a tag
	from int    // offset of text
	end  int    // offset behind it
}

// scan cuts a template into tokens.
func scan(text string) ([]token, error) {
	var out []token
	for at := 0; at < len(text); {
		next := nextToken(text, at)
		if next > at {
			out = append(out, token{kind: textToken, at: at, text: text[at:next], end: next})
			at = next
			continue
		}
		t, end, err := special(text, at)
		if err != nil {
			return nil, err
		}
		t.end = end
		if t.kind == startToken && t.name == "noparse" {
			stop := strings.Index(text[end:], "</#noparse>")
			if stop < 0 {
				return nil, fail(text, at, "<#noparse> is not closed")
			}
			// The tags count for the stripping of lines; between them all is text.
			behind := end + stop + len("</#noparse>")
			out = append(out, token{kind: commentToken, at: at, end: end}, token{kind: textToken, at: end, text: text[end : end+stop], end: end + stop},
				token{kind: commentToken, at: end + stop, end: behind})
			at = behind
			continue
		}
		out = append(out, t)
		at = end
	}
	return out, nil
}

// nextToken is where the next interpolation or tag begins, from at on.
func nextToken(text string, at int) int {
	for i := at; i < len(text); i++ {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "${"), strings.HasPrefix(rest, "#{"), strings.HasPrefix(rest, "<#"), strings.HasPrefix(rest, "</#"),
			strings.HasPrefix(rest, "<@"), strings.HasPrefix(rest, "</@"):
			return i
		}
	}
	return len(text)
}

func special(text string, at int) (token, int, error) {
	rest := text[at:]
	switch {
	case strings.HasPrefix(rest, "#{"):
		return token{}, 0, fail(text, at, "#{...} is not supported; write ${...}")
	case strings.HasPrefix(rest, "<@"), strings.HasPrefix(rest, "</@"):
		return token{}, 0, fail(text, at, "<@...> is not supported: there are no macros")
	case strings.HasPrefix(rest, "<#--"):
		end := strings.Index(rest, "-->")
		if end < 0 {
			return token{}, 0, fail(text, at, "a comment is not closed")
		}
		return token{kind: commentToken, at: at}, at + end + len("-->"), nil
	case strings.HasPrefix(rest, "${"):
		end, err := closing(text, at+2, '}')
		return token{kind: valueToken, at: at, text: text[at+2 : end], from: at + 2}, end + 1, err
	case strings.HasPrefix(rest, "</#"):
		end := strings.IndexByte(rest, '>')
		if end < 0 {
			return token{}, 0, fail(text, at, "a closing tag has no >")
		}
		return token{kind: endToken, at: at, name: strings.TrimSpace(rest[3:end])}, at + end + 1, nil
	}
	name := at + 2
	for name < len(text) && (text[name] == '_' || text[name]|0x20 >= 'a' && text[name]|0x20 <= 'z') {
		name++
	}
	end, err := closing(text, name, '>')
	if err != nil {
		return token{}, 0, err
	}
	return token{kind: startToken, at: at, name: text[at+2 : name], text: strings.TrimSuffix(text[name:end], "/"), from: name}, end + 1, nil
}

// closing finds what ends an expression that begins at from: outside of texts and brackets.
func closing(text string, from int, end byte) (int, error) {
	var open []byte
	for i := from; i < len(text); i++ {
		c := text[i]
		switch {
		case len(open) == 0 && c == end:
			return i, nil
		case c == '"' || c == '\'':
			raw := i > from && text[i-1] == 'r' && (i-1 == from || !isName(text[i-2]))
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && !raw {
					i++
				}
			}
		case c == '(' || c == '[' || c == '{':
			open = append(open, c)
		case (c == ')' || c == ']' || c == '}') && len(open) > 0:
			open = open[:len(open)-1]
		}
	}
	return len(text), fail(text, from, "%q is missing", string(end))
}

func isName(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }
