package httpget

import (
	"strconv"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// textFormat writes lines for people. Content is not escaped, so it cannot be parsed in general.
type textFormat struct{}

func (textFormat) mediaType() string { return offers[2] }

func (textFormat) appendStart(dst []byte) []byte { return append(dst, "items\n"...) }

func (f textFormat) appendItem(dst []byte, n int, m *message.Message, o options) []byte {
	if n > 0 {
		dst = append(dst, '\n')
	}
	return f.appendMessage(append(dst, "item\n"...), m, o)
}

func (textFormat) appendMessage(dst []byte, m *message.Message, o options) []byte {
	if len(m.ID) > 0 {
		dst = append(dst, "id: "...)
		dst = append(dst, m.ID...)
		dst = append(dst, '\n')
	}
	dst = append(dst, "content: "...)
	dst = append(dst, m.Content...)
	dst = append(dst, '\n')
	if o.headers {
		dst = appendTextHeaders(append(dst, "headers: {"...), m)
	}
	if o.metadata {
		dst = appendTextMetadata(append(dst, "metadata: {"...), m)
	}
	return dst
}

func appendTextHeaders(dst []byte, m *message.Message) []byte {
	first := true
	for name, values := range httpfront.GroupHeaders(m.Headers) {
		if !first {
			dst = append(dst, ", "...)
		}
		first = false
		dst = append(dst, name...)
		dst = append(dst, "=["...)
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, v...)
		}
		dst = append(dst, ']')
	}
	return append(dst, "}\n"...)
}

func appendTextMetadata(dst []byte, m *message.Message) []byte {
	var room [8]message.Field
	for i, field := range m.Metadata(room[:0]) {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, field.Name...)
		dst = append(dst, '=')
		if field.IsInt {
			dst = strconv.AppendInt(dst, field.Int, 10)
		} else {
			dst = append(dst, field.Text...)
		}
	}
	return append(dst, "}\n"...)
}

func (f textFormat) appendEnd(dst []byte, t *tail, o options) []byte {
	for i := range t.gaps {
		dst = append(dst, "\ngap\nafterItems: "...)
		dst = strconv.AppendInt(dst, int64(t.gaps[i].after), 10)
		dst = append(dst, "\ndetail: "...)
		dst = append(dst, t.gaps[i].detailJSON()...)
		dst = append(dst, '\n')
	}
	if t.err != nil {
		dst = f.appendMessage(append(dst, "\nerror\n"...), t.err, o)
	}
	if len(t.cursor) > 0 {
		dst = append(dst, "\npagination\nnextCursor: "...)
		dst = append(dst, t.cursor...)
		if t.limit != "" {
			dst = append(dst, "\nlimit: "...)
			dst = append(dst, t.limit...)
		}
	}
	return dst
}
