package httpfront

import (
	"math/bits"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// plain tells which bytes stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// AppendJSONString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD; nothing is escaped for HTML.
func AppendJSONString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if i+word <= len(s) {
			n := plainBytes(s[i : i+word])
			if i += n; n == word {
				continue
			}
		}
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if n := runes(s[i:]); n > 0 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscaped(dst, c)
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// runes returns the length of the characters beyond ASCII that s begins with; what follows them may not be UTF-8.
func runes[T string | []byte](s T) (n int) {
	for n < len(s) && s[n] >= utf8.RuneSelf {
		size := runeLen(s[n:])
		if size == 0 {
			break
		}
		n += size
	}
	return n
}

// word is how many bytes plainBytes looks at, all at once.
const word = 8

// plainBytes counts the bytes of the first word of s before the first that is not plain.
func plainBytes[T string | []byte](s T) int {
	_ = s[word-1]
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	const each, high = 0x0101010101010101, 0x8080808080808080
	quote, slash := x^'"'*each, x^'\\'*each
	// The high bit of a byte says that it is no ASCII, below a space, a quote or a backslash. A borrow may set those above such a byte.
	return bits.TrailingZeros64((x|(x-' '*each)|(quote-each)|(slash-each))&high) / 8
}

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if c >= utf8.RuneSelf {
		return utf8.AppendRune(dst, utf8.RuneError)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// runeLen returns the length of the character that s, which is not ASCII, begins with; 0 where that is not UTF-8.
func runeLen[T string | []byte](s T) int {
	if len(s) >= 2 && s[0] >= 0xC2 && s[0] <= 0xDF && s[1]&0xC0 == 0x80 {
		return 2
	}
	var b [utf8.UTFMax]byte
	if _, size := utf8.DecodeRune(b[:copy(b[:], s)]); size > 1 {
		return size
	}
	return 0
}
