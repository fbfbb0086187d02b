package load

import (
	"bytes"
	"errors"
	"io"
)

// events parses server-sent events, chunked or not: a chunk's size stands on a line of its own and is passed over like any
// line that means nothing here.
type events struct {
	c     *conn
	carry []byte // a line's beginning
	other bool   // the event is not a message
}

// maxLine bounds a line that is kept, in bytes; what is behind it is of no interest.
const maxLine = 64 << 10

func (e *events) feed(p []byte) error {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			if len(e.carry)+len(p) <= maxLine {
				e.carry = append(e.carry, p...)
			}
			return nil
		}
		line := p[:i]
		p = p[i+1:]
		if len(e.carry) > 0 {
			e.carry = append(e.carry, line...)
			line, e.carry = e.carry, e.carry[:0]
		}
		if err := e.line(line); err != nil {
			return err
		}
	}
	return nil
}

var (
	dataField    = []byte("data: ")
	eventField   = []byte("event: ")
	idField      = []byte("id: ")
	messageEvent = []byte("message")
	lastChunk    = []byte("0\r")
)

func (e *events) line(line []byte) error {
	switch {
	case len(line) == 0:
		e.other = false
	case line[0] == '0' && bytes.Equal(line, lastChunk):
		return io.EOF // the answer is whole; the connection may live on
	case line[0] == 'd' && bytes.HasPrefix(line, dataField):
		if !e.other {
			e.c.got(line[len(dataField):])
		}
	case line[0] == 'e' && bytes.HasPrefix(line, eventField):
		return e.event(line[len(eventField):])
	case line[0] == 'i' && e.c.all.job.Resume && bytes.HasPrefix(line, idField):
		e.c.lastID = append(e.c.lastID[:0], line[len(idField):]...)
	}
	return nil
}

func (e *events) event(name []byte) error {
	e.other = !bytes.Equal(name, messageEvent)
	if !e.other {
		return nil
	}
	switch string(name) {
	case "gap":
		e.c.all.lost.Add(1)
	case "error":
		return errors.New("an error event came")
	}
	return nil
}
