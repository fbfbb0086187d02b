package load

import (
	"sync"
	"time"
)

// StampSize is how long the beginning of a message is that tells them apart: its number and the time at which it was meant
// to be sent, in nanoseconds since 1970, in 16 hexadecimal digits each. It needs no escape in JSON, so that it stands in a
// page as it does in a frame.
const StampSize = 32

// filler is what the rest of a message is made of.
const filler = 'x'

const digits = "0123456789abcdef"

// opening and closing make a message a JSON document; the stamp stands between them.
const (
	opening = `{"m":"`
	closing = `"}`
)

// Fill makes p a message without a stamp.
func Fill(p []byte) {
	for i := range p {
		p[i] = filler
	}
}

// FillJSON makes p a JSON document without a stamp.
func FillJSON(p []byte) {
	Fill(p)
	copy(p, opening)
	copy(p[len(p)-len(closing):], closing)
}

// Stamp writes a stamp at the start of p, or of the text in it.
func Stamp(p []byte, number, at int64) {
	if p[0] == opening[0] {
		p = p[len(opening):]
	}
	put(p[:16], uint64(number))
	put(p[16:StampSize], uint64(at))
}

func put(p []byte, v uint64) {
	for i := len(p) - 1; i >= 0; i-- {
		p[i] = digits[v&15]
		v >>= 4
	}
}

// ReadStamp reads the stamp at the start of p; false: there is none.
func ReadStamp(p []byte) (number, at int64, ok bool) {
	if len(p) > len(opening) && p[0] == opening[0] {
		p = p[len(opening):]
	}
	if len(p) < StampSize {
		return 0, 0, false
	}
	a, ok1 := get(p[:16])
	b, ok2 := get(p[16:StampSize])
	return int64(a), int64(b), ok1 && ok2
}

func get(p []byte) (v uint64, ok bool) {
	for _, c := range p {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// Set are the numbers that were seen, each once and the times more. Numbers count from 0.
type Set struct {
	mu sync.Mutex
	// guards the following
	bits  []uint64
	one   int64
	again int64
}

// Add takes a number, and tells whether it is new.
func (s *Set) Add(number int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(number)
}

// add is Add for the only user.
func (s *Set) add(number int64) bool {
	word := int(number >> 6)
	for word >= len(s.bits) {
		s.bits = append(s.bits, make([]uint64, max(1024, len(s.bits)))...)
	}
	bit := uint64(1) << (number & 63)
	if s.bits[word]&bit != 0 {
		s.again++
		return false
	}
	s.bits[word] |= bit
	s.one++
	return true
}

// size is Len while others add.
func (s *Set) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.one
}

// Len is how many numbers were seen, Again how many of the times were not the first.
func (s *Set) Len() int64   { return s.one }
func (s *Set) Again() int64 { return s.again }

// Missing is how many of s are not in other.
func (s *Set) Missing(other *Set) (n int64) {
	for i, word := range s.bits {
		if i < len(other.bits) {
			word &^= other.bits[i]
		}
		for ; word != 0; word &= word - 1 {
			n++
		}
	}
	return n
}

// maxNumber bounds the numbers that are taken from what comes over the wire: 2^32 messages are more than any run sends.
const maxNumber = 1 << 32

// pace gives out the times at which messages are to be sent, and waits for each.
type pace struct {
	start time.Time
	rate  float64
}

// at is the time of message n.
func (p pace) at(n int64) time.Time {
	return p.start.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
}

// spin is how long before its time a message is waited for without sleeping through timers, whose grain is a
// millisecond where the runtime polls the network.
const spin = 1500 * time.Microsecond

// WaitUntil returns at t, or soon after.
func WaitUntil(t time.Time) {
	if d := time.Until(t); d > spin {
		time.Sleep(d - spin)
	}
	for d := time.Until(t); d > 0; d = time.Until(t) {
		nap(d)
	}
}
