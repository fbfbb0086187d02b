package judge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// maxLine bounds one event of a history, in bytes. A cursor over a thousand partitions stays far below.
const maxLine = 1 << 20

// Append appends the event as one line of JSON.
func Append(dst []byte, e *Event) ([]byte, error) {
	if err := e.validate(); err != nil {
		return dst, err
	}
	line, err := json.Marshal(e)
	if err != nil {
		return dst, fmt.Errorf("encode event: %w", err)
	}
	return append(append(dst, line...), '\n'), nil
}

// Read reads a history, one event per line, and hands each to add. It ends at the first that is wrong, or that add
// refuses, and tells its line.
func Read(r io.Reader, add func(*Event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		e, err := decode(lines.Bytes())
		if err == nil {
			err = add(e)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return nil
}

func decode(line []byte) (*Event, error) {
	e := &Event{}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(e); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: more than one on a line", ErrEvent)
	}
	if len(e.Cursor) == 0 {
		e.Cursor = nil
	}
	return e, e.validate()
}
