package httpget

import (
	"strconv"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// jsonFormat writes {"items":[...],"gaps":[...],"error":{...},"pagination":{...}}; all but items only where there is something.
type jsonFormat struct{}

func (jsonFormat) mediaType() string { return offers[0] }

func (jsonFormat) appendStart(dst []byte) []byte { return append(dst, `{"items":[`...) }

func (f jsonFormat) appendItem(dst []byte, n int, m *message.Message, o options) []byte {
	if n > 0 {
		dst = append(dst, ',')
	}
	return f.appendMessage(dst, m, o)
}

func (jsonFormat) appendMessage(dst []byte, m *message.Message, o options) []byte {
	dst = append(dst, '{')
	if len(m.ID) > 0 {
		dst = append(dst, `"id":`...)
		dst = httpfront.AppendJSONString(dst, m.ID)
		dst = append(dst, ',')
	}
	dst = append(dst, `"content":`...)
	dst = httpfront.AppendJSONString(dst, m.Content)
	if o.headers {
		dst = appendJSONHeaders(append(dst, `,"headers":{`...), m)
	}
	if o.metadata {
		dst = appendJSONMetadata(append(dst, `,"metadata":{`...), m)
	}
	return append(dst, '}')
}

func appendJSONHeaders(dst []byte, m *message.Message) []byte {
	first := true
	for name, values := range httpfront.GroupHeaders(m.Headers) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = httpfront.AppendJSONString(dst, name)
		dst = append(dst, ':', '[')
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = httpfront.AppendJSONString(dst, v)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendJSONMetadata(dst []byte, m *message.Message) []byte {
	var room [8]message.Field
	for i, field := range m.Metadata(room[:0]) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = httpfront.AppendJSONString(dst, field.Name)
		dst = append(dst, ':')
		if field.IsInt {
			dst = strconv.AppendInt(dst, field.Int, 10)
		} else {
			dst = httpfront.AppendJSONString(dst, field.Text)
		}
	}
	return append(dst, '}')
}

func (f jsonFormat) appendEnd(dst []byte, t *tail, o options) []byte {
	dst = append(dst, ']')
	for i := range t.gaps {
		if i == 0 {
			dst = append(dst, `,"gaps":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"afterItems":`...)
		dst = strconv.AppendInt(dst, int64(t.gaps[i].after), 10)
		dst = append(dst, `,"detail":`...)
		dst = append(dst, t.gaps[i].detailJSON()...)
		dst = append(dst, '}')
	}
	if len(t.gaps) > 0 {
		dst = append(dst, ']')
	}
	if t.err != nil {
		dst = f.appendMessage(append(dst, `,"error":`...), t.err, o)
	}
	if len(t.cursor) > 0 {
		dst = append(dst, `,"pagination":{"nextCursor":`...)
		dst = httpfront.AppendJSONString(dst, t.cursor)
		if t.limit != "" {
			dst = append(dst, `,"limit":`...)
			dst = httpfront.AppendJSONString(dst, t.limit)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}
