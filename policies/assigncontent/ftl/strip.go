package ftl

import (
	"slices"
	"strings"
)

// stripper removes the white space that FreeMarker removes: blanks before tags that stand alone on their line, and the line
// break behind them; but nothing of a text that a template begins with, and all of the white space between tags that never have
// an output.
type stripper struct {
	tokens      []token
	first, last []int // lines of each token
	column      []int // where each begins in its line, from 0
}

func strip(text string, tokens []token) []token {
	s := stripper{tokens: tokens}
	line, at, start := 0, 0, 0
	to := func(offset int) int {
		for ; at < offset; at++ {
			if text[at] == '\n' {
				line++
				start = at + 1
			}
		}
		return line
	}
	for _, t := range tokens {
		s.first = append(s.first, to(t.at))
		s.column = append(s.column, t.at-start)
		s.last = append(s.last, to(t.end-1))
	}
	for i := range tokens {
		if tokens[i].kind == textToken {
			s.text(i)
		}
	}
	return slices.DeleteFunc(tokens, func(t token) bool { return t.kind == commentToken || t.kind == textToken && t.text == "" })
}

func (s *stripper) text(i int) {
	t := &s.tokens[i]
	switch {
	case s.ignored(i):
		t.text = ""
	case i > 0:
		tail, head := s.tail(i), s.head(i)
		t.text = t.text[min(head, len(t.text)-tail) : len(t.text)-tail]
	}
}

// silent tells whether a tag never has an output.
func silent(t token) bool {
	return t.kind == commentToken || (t.kind == startToken || t.kind == endToken) && t.name == "assign"
}

// ignored tells whether a text is white space between silent tags.
func (s *stripper) ignored(i int) bool {
	return blank(s.tokens[i].text) && (i == 0 || silent(s.tokens[i-1])) && (i == len(s.tokens)-1 || silent(s.tokens[i+1]))
}

// tail is how much is removed at the end of a text.
func (s *stripper) tail(i int) int {
	text := s.tokens[i].text
	at := strings.LastIndexByte(text, '\n') + 1
	if at == 0 && s.column[i] != 0 || !blank(text[at:]) {
		return 0
	}
	for k := i + 1; k < len(s.tokens) && s.first[k] == s.last[i]; k++ {
		if s.heeds(k, false) {
			return 0
		}
	}
	return len(text) - at
}

// head is how much is removed at the beginning of a text.
func (s *stripper) head(i int) int {
	text := s.tokens[i].text
	at := strings.IndexByte(text, '\n') + 1
	if !blank(text[:at]) {
		return 0
	}
	for k := i - 1; k >= 0 && s.last[k] == s.first[i]; k-- {
		if s.heeds(k, true) {
			return 0
		}
	}
	return at
}

// heeds tells whether a token has to do with the white space beside it: an output has, and a text that does not begin, or end, with
// blanks and a line break.
func (s *stripper) heeds(k int, before bool) bool {
	t := s.tokens[k]
	switch {
	case t.kind == valueToken:
		return true
	case t.kind != textToken || t.text == "" || s.ignored(k):
		return false
	case before:
		at := strings.LastIndexByte(t.text, '\n')
		return at < 0 || !blank(t.text[at:])
	}
	at := strings.IndexByte(t.text, '\n')
	return at < 0 || !blank(t.text[:at])
}
