package httpget

import (
	"strconv"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// xmlFormat writes the shape of spec 2.2 as well-formed XML 1.0: names are made valid, texts escaped, and characters that
// XML cannot hold become U+FFFD.
type xmlFormat struct{}

func (xmlFormat) mediaType() string { return offers[1] }

func (xmlFormat) appendStart(dst []byte) []byte { return append(dst, "<response><items>"...) }

func (f xmlFormat) appendItem(dst []byte, _ int, m *message.Message, o options) []byte {
	return f.appendMessage(dst, "item", m, o)
}

func (xmlFormat) appendMessage(dst []byte, element string, m *message.Message, o options) []byte {
	dst = appendOpen(dst, element)
	if len(m.ID) > 0 {
		dst = append(dst, "<id>"...)
		dst = appendXMLText(dst, m.ID)
		dst = append(dst, "</id>"...)
	}
	dst = append(dst, "<content><![CDATA["...)
	dst = appendCDATA(dst, m.Content)
	dst = append(dst, "]]></content>"...)
	if o.headers {
		dst = appendXMLHeaders(dst, m)
	}
	if o.metadata {
		dst = appendXMLMetadata(dst, m)
	}
	return appendClose(dst, element)
}

func appendXMLHeaders(dst []byte, m *message.Message) []byte {
	dst = append(dst, "<headers>"...)
	for name, values := range httpfront.GroupHeaders(m.Headers) {
		dst = appendOpen(dst, name)
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendXMLText(dst, v)
		}
		dst = appendClose(dst, name)
	}
	return append(dst, "</headers>"...)
}

func appendXMLMetadata(dst []byte, m *message.Message) []byte {
	dst = append(dst, "<metadata>"...)
	var room [8]message.Field
	for _, field := range m.Metadata(room[:0]) {
		dst = appendOpen(dst, field.Name)
		if field.IsInt {
			dst = strconv.AppendInt(dst, field.Int, 10)
		} else {
			dst = appendXMLText(dst, field.Text)
		}
		dst = appendClose(dst, field.Name)
	}
	return append(dst, "</metadata>"...)
}

func (f xmlFormat) appendEnd(dst []byte, t *tail, o options) []byte {
	dst = append(dst, "</items>"...)
	for i := range t.gaps {
		if i == 0 {
			dst = append(dst, "<gaps>"...)
		}
		dst = append(dst, "<gap><afterItems>"...)
		dst = strconv.AppendInt(dst, int64(t.gaps[i].after), 10)
		dst = append(dst, "</afterItems><detail>"...)
		dst = appendXMLText(dst, t.gaps[i].detailJSON())
		dst = append(dst, "</detail></gap>"...)
	}
	if len(t.gaps) > 0 {
		dst = append(dst, "</gaps>"...)
	}
	if t.err != nil {
		dst = f.appendMessage(dst, "error", t.err, o)
	}
	if len(t.cursor) > 0 {
		dst = append(dst, "<pagination><nextCursor>"...)
		dst = appendXMLText(dst, t.cursor)
		dst = append(dst, "</nextCursor>"...)
		if t.limit != "" {
			dst = append(dst, "<limit>"...)
			dst = appendXMLText(dst, t.limit)
			dst = append(dst, "</limit>"...)
		}
		dst = append(dst, "</pagination>"...)
	}
	return append(dst, "</response>"...)
}

func appendOpen(dst []byte, name string) []byte {
	return append(appendName(append(dst, '<'), name), '>')
}

func appendClose(dst []byte, name string) []byte {
	return append(appendName(append(dst, "</"...), name), '>')
}

// appendName appends a valid element name: what may not stand in one becomes "_", and a name that may not begin like this,
// or is reserved (it begins with "xml"), gets one before it.
func appendName(dst []byte, name string) []byte {
	reserved := len(name) >= 3 && name[0]|0x20 == 'x' && name[1]|0x20 == 'm' && name[2]|0x20 == 'l'
	if name == "" || reserved || !isLetter(name[0]) {
		dst = append(dst, '_')
	}
	for i := range len(name) {
		c := name[i]
		if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '.' {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// appendXMLText appends escaped character data.
func appendXMLText[T string | []byte](dst []byte, text T) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			i++
			switch c {
			case '<':
				dst = append(dst, "&lt;"...)
			case '>':
				dst = append(dst, "&gt;"...)
			case '&':
				dst = append(dst, "&amp;"...)
			case '\r':
				dst = append(dst, "&#13;"...)
			default:
				dst = appendChar(dst, rune(c))
			}
			continue
		}
		r, size := decodeRune(text[i:])
		dst = appendChar(dst, r)
		i += size
	}
	return dst
}

// appendCDATA appends the inside of a CDATA section. What would end it is split over two sections, and a CR, which a parser
// would turn into LF, stands between two.
func appendCDATA(dst, content []byte) []byte {
	for i := 0; i < len(content); {
		c := content[i]
		switch {
		case c == ']' && i+2 < len(content) && content[i+1] == ']' && content[i+2] == '>':
			dst = append(dst, "]]]]><![CDATA[>"...)
			i += 3
		case c == '\r':
			dst = append(dst, "]]>&#13;<![CDATA["...)
			i++
		case c < utf8.RuneSelf:
			dst = appendChar(dst, rune(c))
			i++
		default:
			r, size := utf8.DecodeRune(content[i:])
			dst = appendChar(dst, r)
			i += size
		}
	}
	return dst
}

// appendChar appends r, or U+FFFD where XML 1.0 (section 2.2) cannot hold it. utf8.RuneError is U+FFFD already.
func appendChar(dst []byte, r rune) []byte {
	if r < ' ' && r != '\t' && r != '\n' || r == 0xFFFE || r == 0xFFFF {
		r = utf8.RuneError
	}
	return utf8.AppendRune(dst, r)
}

func decodeRune[T string | []byte](s T) (rune, int) {
	var b [utf8.UTFMax]byte
	return utf8.DecodeRune(b[:copy(b[:], s)])
}
