package httpfront

import "sync"

// maxPooled bounds a buffer that is kept for the next user, in bytes (STYLE, hot path).
const maxPooled = 64 << 10

// buffers holds write buffers. A connection has one only while it writes, so that an idle one costs none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// GetBuffer returns an empty buffer.
func GetBuffer() *[]byte {
	b := buffers.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

// PutBuffer gives b back.
func PutBuffer(b *[]byte) {
	if cap(*b) <= maxPooled {
		buffers.Put(b)
	}
}
