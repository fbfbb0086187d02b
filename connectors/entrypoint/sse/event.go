package sse

import (
	"bytes"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// framer writes messages as events. The order of lines is that of spec 2.3: retry, id, event, data, comments.
type framer struct {
	form
	json bool // failures as JSON (spec 2.9)
}

// form is what the bytes of a message depend on.
type form struct {
	headers, metadata bool // as comments
	chunked           bool // each event is a chunk (HTTP/1.1)
}

// Form implements httpfront.SharedFramer.
func (f *framer) Form() any { return f.form }

// AppendMessage implements httpfront.Framer.
func (f *framer) AppendMessage(dst []byte, m *message.Message) []byte {
	if !f.chunked {
		return f.appendEvent(dst, m)
	}
	start := len(dst)
	dst, room := openChunk(dst, len(m.Content)+len(m.ID))
	return closeChunk(f.appendEvent(dst, m), start, room)
}

func (f *framer) appendEvent(dst []byte, m *message.Message) []byte {
	dst = appendID(dst, m.ID)
	switch m.Kind {
	case message.Gap:
		dst = append(dst, "event: gap\n"...)
	case message.Notice:
		dst = append(dst, "event: notice\n"...)
	default:
		dst = append(dst, "event: message\n"...)
	}
	dst = appendData(dst, m.Content)
	if f.headers || f.metadata {
		dst = f.appendComments(dst, m)
	}
	return append(dst, '\n')
}

// AppendEnd implements httpfront.Framer.
func (f *framer) AppendEnd(dst []byte, failure *message.Failure, reason message.Reason, cursor []byte) []byte {
	if !f.chunked {
		return f.appendEnd(dst, failure, reason, cursor)
	}
	start := len(dst)
	dst, room := openChunk(dst, 0)
	return closeChunk(f.appendEnd(dst, failure, reason, cursor), start, room)
}

func (f *framer) appendEnd(dst []byte, failure *message.Failure, reason message.Reason, cursor []byte) []byte {
	if failure != nil {
		return f.appendFailure(dst, failure, cursor)
	}
	dst = appendRetry(dst)
	dst = appendID(dst, cursor)
	if reason == message.ReasonRedeploy {
		dst = append(dst, "event: reconnect\n"...)
	} else {
		dst = append(dst, "event: goaway\n"...)
	}
	dst = append(dst, "data: "...)
	dst = append(dst, message.StoppingText...)
	return append(dst, '\n', '\n')
}

func (f *framer) appendFailure(dst []byte, failure *message.Failure, cursor []byte) []byte {
	dst = appendID(dst, cursor)
	dst = append(dst, "event: error\n"...)
	text, contentType := httpfront.AppendFailure(nil, failure, f.json)
	dst = appendData(dst, text)
	m := httpfront.FailureMessage(failure, text, contentType)
	if f.headers || f.metadata {
		dst = f.appendComments(dst, m)
	}
	return append(dst, '\n')
}

// appendID appends an id line; none where the id could not be parsed back (WHATWG HTML 9.2.6: no line ends, no NUL).
func appendID(dst, id []byte) []byte {
	if len(id) == 0 || bytes.IndexByte(id, '\n') >= 0 || bytes.IndexByte(id, '\r') >= 0 || bytes.IndexByte(id, 0) >= 0 {
		return dst
	}
	dst = append(dst, "id: "...)
	dst = append(dst, id...)
	return append(dst, '\n')
}

// appendData appends one data line for each line of content, which may end in LF, CR or CRLF; a client joins them with LF.
func appendData(dst, content []byte) []byte {
	lf, cr := next(content, 0, '\n'), next(content, 0, '\r')
	for start := 0; ; {
		end := min(lf, cr)
		dst = append(dst, "data: "...)
		dst = append(dst, content[start:end]...)
		dst = append(dst, '\n')
		if end == len(content) {
			return dst
		}
		start = end + 1
		if end == cr && lf == start && lf < len(content) {
			start++ // CRLF is one line end
		}
		if lf < start {
			lf = next(content, start, '\n')
		}
		if cr < start {
			cr = next(content, start, '\r')
		}
	}
}

// next returns where b is found in content from start on, else the length of content. Each byte of the content is looked at once
// per b, with the vector instructions of the standard library.
func next(content []byte, start int, b byte) int {
	if i := bytes.IndexByte(content[start:], b); i >= 0 {
		return start + i
	}
	return len(content)
}
