package jsondoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse reads a document. The error tells what is wrong with it, or is ErrLimit.
func Parse(text []byte) (any, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrLimit, MaxSize)
	}
	if !json.Valid(text) {
		return nil, invalid(text)
	}
	p := parser{text: text}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// invalid says what is wrong with a text that is no JSON.
func invalid(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("not JSON: it is empty")
	}
	var any json.RawMessage
	err := json.Unmarshal(text, &any)
	if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
		return fmt.Errorf("not JSON: %w at byte %d", err, s.Offset)
	}
	return fmt.Errorf("not JSON: %w", err)
}

// parser reads a text that is known to be JSON.
type parser struct {
	text  []byte
	at    int
	count int
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (any, error) {
	if p.count++; p.count > maxItems {
		return nil, fmt.Errorf("%w: more than %d values", ErrLimit, maxItems)
	}
	if depth > MaxDepth {
		return nil, fmt.Errorf("%w: more than %d levels deep", ErrLimit, MaxDepth)
	}
	p.space()
	switch p.text[p.at] {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		return p.string(), nil
	case 't':
		p.at += len("true")
		return true, nil
	case 'f':
		p.at += len("false")
		return false, nil
	case 'n':
		p.at += len("null")
		return nil, nil
	}
	return p.number(), nil
}

func (p *parser) object(depth int) (any, error) {
	o := new(Object)
	for p.at++; ; p.at++ {
		if p.space(); p.text[p.at] == '}' {
			p.at++
			return o, nil
		}
		name := p.string()
		p.space()
		p.at++ // the colon
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.Set(name, v)
		if p.space(); p.text[p.at] == '}' {
			p.at++
			return o, nil
		}
	}
}

func (p *parser) array(depth int) (any, error) {
	a := new(Array)
	for p.at++; ; p.at++ {
		if p.space(); p.text[p.at] == ']' {
			p.at++
			return a, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		a.Items = append(a.Items, v)
		if p.space(); p.text[p.at] == ']' {
			p.at++
			return a, nil
		}
	}
}

func (p *parser) string() string {
	start, escaped := p.at, false
	for p.at++; p.text[p.at] != '"'; p.at++ {
		if p.text[p.at] == '\\' {
			escaped = true
			p.at++
		}
	}
	p.at++
	literal := p.text[start:p.at]
	if !escaped && utf8.Valid(literal) {
		return string(literal[1 : len(literal)-1])
	}
	var s string
	if err := json.Unmarshal(literal, &s); err != nil {
		return "" // cannot be: the text was checked as a whole
	}
	return s
}

func (p *parser) number() any {
	start := p.at
	for p.at < len(p.text) && strings.IndexByte("+-0123456789.eE", p.text[p.at]) >= 0 {
		p.at++
	}
	return ParseNumber(string(p.text[start:p.at]))
}

// exact is how many digits a float64 always holds.
const exact = 15

// ParseNumber returns the value of a number as JSON has them.
func ParseNumber(text string) any {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return Integer(n)
		}
		return Number(text)
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	digits := strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "0")
	if f, err := strconv.ParseFloat(text, 64); err == nil && len(digits) <= exact {
		return f
	}
	return Number(text)
}

// Integer is an int32 where that holds n, else an int64, as Java's parsers have it.
func Integer(n int64) any {
	if n == int64(int32(n)) {
		return int32(n)
	}
	return n
}
