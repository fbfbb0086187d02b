package apidef

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// parseJSON reads one JSON value. A problem that ends the reading (syntax, limits) comes with a nil node; members
// given twice are reported and the first of them is kept.
func parseJSON(data []byte) (*node, Problems) {
	p := &jsonParser{data: data}
	if !utf8.Valid(data) {
		return nil, Problems{p.malformed(invalidUTF8At(data), "the text is not valid UTF-8")}
	}
	// The whole text is checked first: this scanner has the exact offset of an error, the token reader has not.
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, Problems{p.malformed(int(syntax.Offset)-1, err.Error())}
		}
		return nil, Problems{p.malformed(0, err.Error())}
	}
	p.tokens = json.NewDecoder(bytes.NewReader(data))
	p.tokens.UseNumber()
	root, limit := p.value("", 0)
	if limit != nil {
		return nil, Problems{*limit}
	}
	return root, p.problems
}

type jsonParser struct {
	data     []byte
	tokens   *json.Decoder
	cursor   cursor
	budget   budget
	problems Problems
}

// value reads the next value. Its second result is the limit that was passed, which ends the reading.
func (p *jsonParser) value(at string, depth int) (*node, *Problem) {
	offset := p.next()
	n := &node{}
	n.line, n.column = p.position(offset)
	if limit := p.budget.take(at, depth, 0); limit != nil {
		limit.Line, limit.Column = n.line, n.column
		return nil, limit
	}
	token, err := p.tokens.Token()
	if err != nil { // cannot be: the text was found valid
		problem := p.malformed(offset, err.Error())
		return nil, &problem
	}
	switch t := token.(type) {
	case nil:
	case bool:
		n.kind, n.text = flagKind, fmt.Sprint(t)
	case json.Number:
		n.kind, n.text = numberKind, t.String()
	case string:
		n.kind, n.text = textKind, t
	case json.Delim:
		if t == '[' {
			return n, p.list(n, at, depth)
		}
		return n, p.object(n, at, depth)
	}
	return n, nil
}

func (p *jsonParser) list(n *node, at string, depth int) *Problem {
	n.kind = listKind
	for p.tokens.More() {
		item, limit := p.value(itemOf(at, len(n.items)), depth+1)
		if limit != nil {
			return limit
		}
		n.items = append(n.items, item)
	}
	_, _ = p.tokens.Token() // the closing bracket
	return nil
}

func (p *jsonParser) object(n *node, at string, depth int) *Problem {
	n.kind = objectKind
	seen := map[string]bool{}
	for p.tokens.More() {
		line, column := p.position(p.next())
		token, _ := p.tokens.Token()
		name, _ := token.(string) // the text was found valid: a name stands here
		value, limit := p.value(childOf(at, name), depth+1)
		if limit != nil {
			return limit
		}
		if seen[name] {
			p.problems = append(p.problems, twice(childOf(at, name), line, column))
			continue
		}
		seen[name] = true
		n.set(name, value)
	}
	_, _ = p.tokens.Token() // the closing brace
	return nil
}

// next is the offset of the next token.
func (p *jsonParser) next() int {
	i := int(p.tokens.InputOffset())
	for i < len(p.data) && bytes.IndexByte([]byte(" \t\r\n,:"), p.data[i]) >= 0 {
		i++
	}
	return i
}

// position turns an offset into a line and a column. Offsets must not go back.
func (p *jsonParser) position(offset int) (line, column int) {
	p.cursor.advance(p.data, offset)
	return p.cursor.line + 1, p.cursor.column + 1
}

// cursor counts lines and characters, both from 0, up to an offset. It goes through the text once, however many
// positions are asked for.
type cursor struct{ offset, line, column int }

func (c *cursor) advance(data []byte, offset int) {
	for ; c.offset < offset; c.offset++ {
		switch {
		case data[c.offset] == '\n':
			c.line, c.column = c.line+1, 0
		case utf8.RuneStart(data[c.offset]):
			c.column++
		}
	}
}

func (p *jsonParser) malformed(offset int, what string) Problem {
	line, column := p.position(min(max(offset, 0), len(p.data)))
	return Problem{
		Message: fmt.Sprintf("line %d, column %d: %s", line, column, what), Code: CodeMalformed, Severity: Error,
		Line: line, Column: column,
	}
}

func invalidUTF8At(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}

func twice(pointer string, line, column int) Problem {
	return Problem{
		Pointer: pointer, Message: "is given twice; keep one", Code: CodeMemberDuplicate, Severity: Error,
		Line: line, Column: column,
	}
}
