package message

import "sync"

// maxPooled bounds the buffer that a released message keeps, in bytes: one large body must not stay for ever.
const maxPooled = 64 << 10

var pool = sync.Pool{New: func() any { return new(Message) }}

// Get returns an empty message for publishing. The caller owns it until it hands it on.
func Get() *Message { return pool.Get().(*Message) }

// Release gives m back. Its bytes must not be used afterwards.
func (m *Message) Release() {
	buf, headers := m.buf[:0], m.Headers[:0]
	if cap(buf) > maxPooled {
		buf = nil
	}
	clear(m.Headers)
	*m = Message{buf: buf, Headers: headers}
	pool.Put(m)
}

// SetContent copies content into m's own memory: the one copy at the border (STYLE, hot path).
func (m *Message) SetContent(content []byte) { m.Content = m.Copy(content) }

// Copy copies b into m's own memory and returns the copy, valid until Release and never nil. Earlier copies stay valid.
func (m *Message) Copy(b []byte) []byte {
	if free := cap(m.buf) - len(m.buf); free < len(b) || m.buf == nil {
		// A new block: what points into the old one keeps it alive until Release.
		m.buf = make([]byte, 0, max(len(b), 1024))
	}
	start := len(m.buf)
	m.buf = append(m.buf, b...)
	return m.buf[start:len(m.buf):len(m.buf)]
}
