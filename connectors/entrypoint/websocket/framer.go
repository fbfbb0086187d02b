package websocket

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// framer writes what the client is sent, as frames of its protocol.
type framer struct {
	v1      bool     // the sub-protocol sluice.v1; else a message is a frame and a frame is a message
	deflate *deflate // nil: not agreed
}

// Forms of frames that are the same for many clients: all that appendMessage depends on but the number in sluice.v1.
type (
	plainForm    struct{}
	deflatedForm struct{ window int }
)

// shared returns the form of the frames that other clients get too, and what appends them; nil: none do.
func (f *framer) shared() (form any, encode message.Encode) {
	switch {
	case f.v1:
		return nil, nil
	case f.deflate != nil:
		return deflatedForm{f.deflate.window}, func(dst []byte, m *message.Message) []byte { return f.appendMessage(dst, m, 0) }
	}
	return plainForm{}, appendPlain
}

// appendPlain appends a message for clients without sub-protocol and compression.
func appendPlain(dst []byte, m *message.Message) []byte {
	f := framer{}
	return f.appendMessage(dst, m, 0)
}

// appendMessage appends a message. number is for sluice.v1.
func (f *framer) appendMessage(dst []byte, m *message.Message, number uint64) []byte {
	if !f.v1 {
		op := opText
		if isBinary(m) {
			op = opBinary
		}
		return f.appendData(dst, op, m.Content)
	}
	dst, at := openFrame(dst)
	return f.closeFrame(appendMessageJSON(dst, m, number), at)
}

// appendEvent appends a gap or a notice.
func (f *framer) appendEvent(dst []byte, m *message.Message) []byte {
	prefix, kind := gapPrefix, `{"type":"gap","detail":`
	if m.Kind == message.Notice {
		prefix, kind = noticePrefix, `{"type":"notice","detail":`
	}
	if !f.v1 {
		return appendControl(dst, opPing, prefix, m.Content)
	}
	dst, at := openFrame(dst)
	dst = append(dst, kind...)
	if len(m.Content) == 0 {
		dst = append(dst, "{}"...)
	}
	dst = append(dst, m.Content...) // a JSON object (connectors.Subscription)
	return f.closeFrame(append(dst, '}'), at)
}

// appendGoAway appends the last word of an API that stops; nothing outside sluice.v1, where the close code says it.
func (f *framer) appendGoAway(dst []byte, reason message.Reason, cursor []byte) []byte {
	if !f.v1 {
		return dst
	}
	dst, at := openFrame(dst)
	dst = append(dst, `{"type":"goaway","reason":`...)
	if reason == message.ReasonRedeploy {
		dst = append(dst, `"redeploy"`...)
	} else {
		dst = append(dst, `"stop"`...)
	}
	if len(cursor) > 0 {
		dst = append(dst, `,"cursor":`...)
		dst = httpfront.AppendJSONString(dst, cursor)
	}
	return f.closeFrame(append(dst, '}'), at)
}

// appendError appends why the connection is about to be closed; nothing outside sluice.v1.
func (f *framer) appendError(dst []byte, code, text string, cursor []byte) []byte {
	if !f.v1 {
		return dst
	}
	dst, at := openFrame(dst)
	dst = append(dst, `{"type":"error","code":`...)
	dst = httpfront.AppendJSONString(dst, code)
	dst = append(dst, `,"message":`...)
	dst = httpfront.AppendJSONString(dst, text)
	if len(cursor) > 0 {
		dst = append(dst, `,"cursor":`...)
		dst = httpfront.AppendJSONString(dst, cursor)
	}
	return f.closeFrame(append(dst, '}'), at)
}

// appendData appends one data frame.
func (f *framer) appendData(dst []byte, op opcode, payload []byte) []byte {
	if f.deflate != nil && len(payload) >= minDeflated {
		b := httpfront.GetBuffer()
		defer httpfront.PutBuffer(b)
		if *b = f.deflate.append(*b, payload); len(*b) < len(payload) {
			at := len(dst)
			dst = append(appendHeader(dst, op, len(*b)), *b...)
			dst[at] |= deflatedBit
			return dst
		}
	}
	return append(appendHeader(dst, op, len(payload)), payload...)
}

// headerRoom is what openFrame keeps free: the header of most messages.
const headerRoom = 4

// openFrame begins a text frame whose payload is appended to what it returns, and then ended by closeFrame.
func openFrame(dst []byte) ([]byte, int) {
	return append(dst, 0, 0, 0, 0), len(dst)
}

// closeFrame ends the frame begun at the place at.
func (f *framer) closeFrame(dst []byte, at int) []byte {
	bit := byte(0)
	if payload := dst[at+headerRoom:]; f.deflate != nil && len(payload) >= minDeflated {
		b := httpfront.GetBuffer()
		defer httpfront.PutBuffer(b)
		if *b = f.deflate.append(*b, payload); len(*b) < len(payload) {
			dst = append(dst[:at+headerRoom], *b...)
			bit = deflatedBit
		}
	}
	size := len(dst) - at - headerRoom
	var scratch [10]byte
	header := appendHeader(scratch[:0], opText, size)
	header[0] |= bit
	switch grow := len(header) - headerRoom; {
	case grow > 0:
		dst = append(dst, scratch[:grow]...)
		copy(dst[at+len(header):], dst[at+headerRoom:at+headerRoom+size])
	case grow < 0:
		copy(dst[at+len(header):], dst[at+headerRoom:])
		dst = dst[:len(dst)+grow]
	}
	copy(dst[at:], header)
	return dst
}

// appendMessageJSON appends the payload of a message in sluice.v1.
func appendMessageJSON(dst []byte, m *message.Message, number uint64) []byte {
	dst = append(dst, `{"type":"message","seq":`...)
	dst = strconv.AppendUint(dst, number, 10)
	if len(m.ID) > 0 {
		dst = append(dst, `,"id":`...)
		dst = httpfront.AppendJSONString(dst, m.ID)
	}
	if m.Content == nil {
		dst = append(dst, `,"content":null`...)
	} else {
		dst = appendText(dst, `,"content`, m.Content)
	}
	dst = appendHeadersJSON(dst, m)
	dst = appendMetadataJSON(dst, m)
	return append(dst, '}')
}

// appendText appends a member whose name is begun by name and ended here: the value as text, or in base64 where it is not UTF-8.
func appendText(dst []byte, name string, value []byte) []byte {
	dst = append(dst, name...)
	if utf8.Valid(value) {
		return httpfront.AppendJSONString(append(dst, `":`...), value)
	}
	dst = append(dst, `Base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, value)
	return append(dst, '"')
}

// appendHeadersJSON appends the headers: of each name all values that are text, then those that are not.
func appendHeadersJSON(dst []byte, m *message.Message) []byte {
	if len(m.Headers) == 0 {
		return dst
	}
	text, binary := 0, 0
	for i := range m.Headers {
		if utf8.Valid(m.Headers[i].Value) {
			text++
		} else {
			binary++
		}
	}
	if text > 0 {
		dst = appendValues(dst, `,"headers":{`, m.Headers, true)
	}
	if binary > 0 {
		dst = appendValues(dst, `,"headersBase64":{`, m.Headers, false)
	}
	return dst
}

func appendValues(dst []byte, open string, headers []message.Header, text bool) []byte {
	dst = append(dst, open...)
	begun := len(dst)
	groups := httpfront.GroupHeaders(headers)
	for name, values, ok := groups.Next(); ok; name, values, ok = groups.Next() {
		first := true
		for _, v := range values {
			if utf8.Valid(v) != text {
				continue
			}
			if first {
				first = false
				if len(dst) > begun {
					dst = append(dst, ',')
				}
				dst = httpfront.AppendJSONString(dst, name)
				dst = append(dst, ":["...)
			} else {
				dst = append(dst, ',')
			}
			if text {
				dst = httpfront.AppendJSONString(dst, v)
				continue
			}
			dst = append(dst, '"')
			dst = base64.StdEncoding.AppendEncode(dst, v)
			dst = append(dst, '"')
		}
		if !first {
			dst = append(dst, ']')
		}
	}
	return append(dst, '}')
}

func appendMetadataJSON(dst []byte, m *message.Message) []byte {
	if m.Origin == nil {
		return dst
	}
	fields := httpfront.GetFields(m)
	defer httpfront.PutFields(fields)
	if len(*fields) == 0 {
		return dst
	}
	dst = append(dst, `,"metadata":`...)
	sep := byte('{')
	for i := range *fields {
		f := &(*fields)[i]
		dst = append(dst, sep)
		sep = ','
		dst = httpfront.AppendJSONString(dst, f.Name)
		dst = append(dst, ':')
		if f.IsInt {
			dst = strconv.AppendInt(dst, f.Int, 10)
		} else {
			dst = httpfront.AppendJSONString(dst, f.Text)
		}
	}
	return append(dst, '}')
}
