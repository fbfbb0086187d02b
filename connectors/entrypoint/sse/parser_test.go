package sse_test

import (
	"bufio"
	"strings"
	"testing"
)

// event is what a WHATWG parser dispatches, plus the comments that came before its end.
type event struct {
	Type, Data, LastID string
	Comments           []string
}

// parser follows "Interpreting an event stream" (WHATWG HTML 9.2.6) line by line, independently of the code under test.
type parser struct {
	t      testing.TB
	r      *bufio.Reader
	lastID string
	retry  []string
	beats  int // comments outside of events
}

// next returns the next event; false at the end of the stream.
func (p *parser) next() (event, bool) {
	p.t.Helper()
	var data strings.Builder
	var e event
	inEvent := false
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return e, false
		}
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, "\r") {
			p.t.Fatalf("a CR in the line %q", line)
		}
		switch {
		case line == "" && data.Len() == 0:
			e.Type, e.Comments, inEvent = "", nil, false
		case line == "":
			e.Data = strings.TrimSuffix(data.String(), "\n")
			e.LastID = p.lastID
			return e, true
		case line[0] == ':':
			e.Comments = append(e.Comments, line[1:])
			if !inEvent {
				p.beats++
			}
		default:
			inEvent = true
			p.field(&e, &data, line)
		}
	}
}

func (p *parser) field(e *event, data *strings.Builder, line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		e.Type = value
	case "data":
		data.WriteString(value + "\n")
	case "id":
		if !strings.Contains(value, "\x00") {
			p.lastID = value
		}
	case "retry":
		p.retry = append(p.retry, value)
	default:
		p.t.Errorf("unknown field in %q", line)
	}
}
