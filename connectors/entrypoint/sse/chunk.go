package sse

import "strconv"

// chunkRoom is what a chunk's size line may take: eight hexadecimal digits, more than any write, and CRLF.
const chunkRoom = 10

// openChunk leaves room at the beginning of an empty buffer for the size line of the chunk that follows.
func (s *stream) openChunk(dst []byte) []byte {
	if !s.chunked {
		return dst
	}
	return append(dst, "00000000\r\n"...)
}

// closeChunk ends the chunk that fills the buffer from the room on, and returns the buffer and the part of it to send.
func (s *stream) closeChunk(dst []byte) (whole, out []byte) {
	if !s.chunked {
		return dst, dst
	}
	var digits [8]byte
	size := strconv.AppendInt(digits[:0], int64(len(dst)-chunkRoom), 16)
	start := chunkRoom - 2 - len(size)
	copy(dst[start:], size)
	dst = append(dst, '\r', '\n')
	return dst, dst[start:]
}

// appendChunk appends data as a chunk of its own.
func (s *stream) appendChunk(dst, data []byte) []byte {
	if !s.chunked {
		return append(dst, data...)
	}
	dst = strconv.AppendInt(dst, int64(len(data)), 16)
	dst = append(dst, '\r', '\n')
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}
