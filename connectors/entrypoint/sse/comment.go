package sse

import (
	"strconv"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// appendComments appends the message's headers, values of a repeated name joined by commas, and its metadata. A
// metadata entry hides a header of the same name (spec 2.3).
func (f *framer) appendComments(dst []byte, m *message.Message) []byte {
	var room [8]message.Field
	fields := room[:0]
	if f.metadata {
		fields = m.Metadata(fields)
	}
	if f.headers {
		for name, values := range httpfront.GroupHeaders(m.Headers) {
			if !hides(fields, name) {
				dst = appendHeaderComment(dst, name, values)
			}
		}
	}
	for i := range fields {
		dst = appendFieldComment(dst, &fields[i])
	}
	return dst
}

func hides(fields []message.Field, name string) bool {
	for i := range fields {
		if fields[i].Name == name {
			return true
		}
	}
	return false
}

func appendHeaderComment(dst []byte, name string, values [][]byte) []byte {
	dst = append(dst, ':')
	dst = appendOneLine(dst, name)
	dst = append(dst, ": "...)
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendOneLine(dst, v)
	}
	return append(dst, '\n')
}

func appendFieldComment(dst []byte, f *message.Field) []byte {
	dst = append(dst, ':')
	dst = appendOneLine(dst, f.Name)
	dst = append(dst, ": "...)
	if f.IsInt {
		dst = strconv.AppendInt(dst, f.Int, 10)
	} else {
		dst = appendOneLine(dst, f.Text)
	}
	return append(dst, '\n')
}

// appendOneLine appends text with its line ends as spaces: what a broker's header holds must not become a line of ours.
func appendOneLine[T string | []byte](dst []byte, text T) []byte {
	start := len(dst)
	dst = append(dst, text...)
	for i := start; i < len(dst); i++ {
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return dst
}
