package sse

import "strconv"

// Rooms for a chunk's size line: hexadecimal digits and CRLF. Leading zeros are allowed (RFC 9112 section 7.1).
const (
	smallChunk = len("0000\r\n")
	largeChunk = len("00000000\r\n")
	mostSmall  = 1<<16 - 1
)

// openChunk leaves room for the size line of a chunk that holds about size bytes.
func openChunk(dst []byte, size int) (out []byte, room int) {
	if size > mostSmall/2 {
		return append(dst, "00000000\r\n"...), largeChunk
	}
	return append(dst, "0000\r\n"...), smallChunk
}

// closeChunk ends the chunk that begins at start with its room.
func closeChunk(dst []byte, start, room int) []byte {
	size := len(dst) - start - room
	if room == smallChunk && size > mostSmall {
		dst = append(dst, "0000"...) // make place for the larger room
		copy(dst[start+largeChunk:], dst[start+smallChunk:len(dst)-(largeChunk-smallChunk)])
		copy(dst[start:], "00000000\r\n")
		room = largeChunk
	}
	const digits = "0123456789abcdef"
	for i := start + room - 3; i >= start; i-- {
		dst[i] = digits[size&15]
		size >>= 4
	}
	return append(dst, '\r', '\n')
}

// appendChunk appends data as a chunk of its own.
func appendChunk(dst, data []byte, chunked bool) []byte {
	if !chunked {
		return append(dst, data...)
	}
	dst = strconv.AppendInt(dst, int64(len(data)), 16)
	dst = append(dst, '\r', '\n')
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}
