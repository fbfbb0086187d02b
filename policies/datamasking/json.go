package datamasking

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// JSON is masked in one pass over its text, since what is not masked must stay as it is: the order of members, numbers of any
// length, blanks. A library that reads documents into values would change all three.

// segment is one step of a JSONPath.
type segment struct {
	name  string
	index int  // of a list; -1: a member
	any   bool // *
	deep  bool // .. stands before it
}

// maxPath bounds the steps of a path.
const maxPath = 64

// parsePath reads a JSONPath of members, indexes, * and .. .
func parsePath(text string) (path []segment, err error) {
	rest := text[1:]
	for rest != "" {
		s := segment{index: -1}
		if after, ok := strings.CutPrefix(rest, ".."); ok {
			s.deep = true
			if rest = after; !strings.HasPrefix(rest, "[") {
				rest = "." + rest
			}
		}
		switch {
		case strings.HasPrefix(rest, "."):
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			s.name, rest = rest[1:end], rest[end:]
			s.any = s.name == "*"
			if s.name == "" {
				return nil, errors.New("a name is missing behind a dot")
			}
		case strings.HasPrefix(rest, "["):
			if rest, err = s.bracket(rest[1:]); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%q is not understood", rest)
		}
		path = append(path, s)
	}
	if len(path) > maxPath {
		return nil, fmt.Errorf("it has more than %d steps", maxPath)
	}
	return path, nil
}

// bracket reads what is in brackets, and returns what follows.
func (s *segment) bracket(rest string) (string, error) {
	if rest != "" && (rest[0] == '\'' || rest[0] == '"') {
		end := strings.Index(rest[1:], rest[:1]+"]")
		if end < 0 {
			return "", errors.New("a quoted name is not closed")
		}
		s.name = rest[1 : 1+end]
		return rest[end+3:], nil
	}
	inner, after, ok := strings.Cut(rest, "]")
	if !ok {
		return "", errors.New("a bracket is not closed")
	}
	if inner == "*" {
		s.any = true
		return after, nil
	}
	n, err := strconv.ParseUint(inner, 10, 31)
	if err != nil {
		return "", fmt.Errorf("%q is no index, name in quotes or *; filters and slices are not served", inner)
	}
	s.index = int(n)
	return after, nil
}

// state is how far a rule's path has come.
type state struct {
	rule *rule
	at   int
}

// masker is one pass over a document, which is valid.
type masker struct {
	in, out []byte
	at      int
	changed bool
	states  []state // those of all nodes above, one behind the other
	active  []*rule // whose value this is, or is in
}

var errNotJSON = errors.New("the content is not JSON")

func maskJSON(b []byte, rules []*rule) ([]byte, bool, error) {
	if !json.Valid(b) { // which bounds the depth, too
		return nil, false, errNotJSON
	}
	m := &masker{in: b, out: make([]byte, 0, len(b)+len(b)/8)}
	for _, r := range rules {
		if len(r.path) == 0 {
			m.active = append(m.active, r)
		} else {
			m.states = append(m.states, state{r, 0})
		}
	}
	m.value(0)
	m.copy(len(b))
	return m.out, m.changed, nil
}

// copy writes the input up to a place as it is.
func (m *masker) copy(to int) {
	m.out = append(m.out, m.in[m.at:to]...)
	m.at = to
}

func (m *masker) blanks() {
	i := m.at
	for i < len(m.in) && (m.in[i] == ' ' || m.in[i] == '\t' || m.in[i] == '\n' || m.in[i] == '\r') {
		i++
	}
	m.copy(i)
}

// value writes the value that begins here. from is where its states begin.
func (m *masker) value(from int) {
	m.blanks()
	switch m.in[m.at] {
	case '{':
		m.members('}', from)
	case '[':
		m.members(']', from)
	default:
		m.scalar()
	}
}

// members writes an object or a list.
func (m *masker) members(end byte, from int) {
	m.copy(m.at + 1)
	for i := 0; ; i++ {
		m.blanks()
		if m.in[m.at] == end {
			m.copy(m.at + 1)
			return
		}
		if m.in[m.at] == ',' {
			m.copy(m.at + 1)
			m.blanks()
		}
		name, index := "", i
		if end == '}' {
			to := m.stringEnd()
			name, index = m.unquote(to), -1
			m.copy(to)
			m.blanks()
			m.copy(m.at + 1) // the colon
		}
		m.child(name, index, from)
	}
}

// child writes a member or an element, with the states that lead to it.
func (m *masker) child(name string, index, from int) {
	states, active := len(m.states), len(m.active)
	for _, s := range m.states[from:states] {
		next := &s.rule.path[s.at]
		if next.deep {
			m.states = append(m.states, s)
		}
		switch {
		case !next.any && (next.index != index || index < 0 && next.name != name):
		case s.at+1 == len(s.rule.path):
			m.active = append(m.active, s.rule)
		default:
			m.states = append(m.states, state{s.rule, s.at + 1})
		}
	}
	m.value(states)
	m.states, m.active = m.states[:states], m.active[:active]
}

// stringEnd is where the string ends that begins here.
func (m *masker) stringEnd() int {
	i := m.at + 1
	for m.in[i] != '"' {
		if m.in[i] == '\\' {
			i++
		}
		i++
	}
	return i + 1
}

func (m *masker) unquote(to int) (text string) {
	raw := m.in[m.at:to]
	if json.Unmarshal(raw, &text) != nil {
		return string(raw[1 : len(raw)-1]) // cannot be: the document is valid
	}
	return text
}

// scalar writes a text, number or the like, masked by the rules whose value it is.
func (m *masker) scalar() {
	to := m.at
	quoted := m.in[to] == '"'
	if quoted {
		to = m.stringEnd()
	} else {
		for to < len(m.in) && !strings.ContainsRune(",]} \t\r\n", rune(m.in[to])) {
			to++
		}
	}
	if len(m.active) == 0 || string(m.in[m.at:to]) == "null" {
		m.copy(to)
		return
	}
	text := m.in[m.at:to]
	if quoted {
		text = []byte(m.unquote(to))
	}
	masked := false
	for _, r := range m.active {
		if out, ok := r.of(text); ok {
			text, masked = out, true
		}
	}
	if !masked {
		m.copy(to)
		return
	}
	made, _ := json.Marshal(string(text))
	m.out, m.at, m.changed = append(m.out, made...), to, true
}
