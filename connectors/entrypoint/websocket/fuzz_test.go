package websocket

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/test/fake"
)

// Text is judged the same in one piece and in two, and as the standard library does.
func FuzzValidText(f *testing.F) {
	for _, s := range []string{"", "a", "\xff", "a\xc3", "\xc3\xa9", "\xf0\x9f\x98\x80", "\xf4\x90", "\xed\xa0\x80", "\xe2\x82", "ab\x80", "\x80\x80\x80\x80\x80"} {
		for at := range len(s) + 1 {
			f.Add([]byte(s), at)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		at = max(0, min(at, len(text)))
		checked, ok := validText(text[:at], 0)
		if !ok && utf8.Valid(text) {
			t.Fatalf("%q is refused although it can go on as %q", text[:at], text[at:])
		}
		if !ok {
			return
		}
		checked, ok = validText(text, checked)
		if whole := ok && checked == len(text); whole != utf8.Valid(text) {
			t.Fatalf("%q in two pieces is %v", text, whole)
		}
		if ok && checked < len(text) && (len(text)-checked > 3 || utf8.FullRune(text[checked:])) {
			t.Fatalf("%q: the unfinished rest %q could be judged", text, text[checked:])
		}
	})
}

// The reader never panics, never holds more than its limit, and gives only valid text.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\x81\x81\x01\x02\x03\x04\x60"))
	f.Add([]byte("\x01\x80\x00\x00\x00\x00\x89\x80\x00\x00\x00\x00\x80\x81\x00\x00\x00\x00a"))
	f.Add([]byte("\x82\xfe\x00\x03\x00\x00\x00\x00abc\x88\x82\x00\x00\x00\x00\x03\xe8"))
	f.Add([]byte("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, input []byte) {
		const most = 64
		r := newReader(bytes.NewReader(input), most, false)
		defer r.release()
		for {
			op, payload, err := r.next()
			if err != nil {
				var bad *closing
				if errors.As(err, &bad) && !validCode(bad.code) {
					t.Fatalf("code %d", bad.code)
				}
				return
			}
			switch {
			case op == opText && !utf8.Valid(payload):
				t.Fatalf("text %q", payload)
			case op >= opClose && len(payload) > maxControl, op < opClose && len(payload) > most:
				t.Fatalf("%d bytes of opcode %d", len(payload), op)
			case op == opClose:
				if end := parseClose(payload); end.code != codeNoStatus && !validCode(end.code) {
					t.Fatalf("answer %d to %q", end.code, payload)
				}
			}
		}
	})
}

func TestUnmask_AnyAlignment(t *testing.T) {
	t.Parallel()
	mask := [4]byte{0x11, 0x22, 0x33, 0x44}
	text := []byte(strings.Repeat("0123456789", 7))
	for from := range 20 {
		for to := from; to <= len(text); to++ {
			got := append([]byte(nil), text...)
			unmask(got[from:to], mask, from)
			for i := from; i < to; i++ {
				if got[i] != text[i]^mask[i&3] {
					t.Fatalf("[%d:%d] at %d", from, to, i)
				}
			}
		}
	}
}

func TestReader_Allocations(t *testing.T) {
	if fake.Race {
		t.Skip("sync.Pool drops items under the race detector")
	}
	var input []byte
	for range 1000 {
		input = append(input, "\x81\x85\x01\x02\x03\x04iglmn"...)
		input = append(input, "\x82\x81\x00\x00\x00\x00x"...)
	}
	src := bytes.NewReader(input)
	r := newReader(src, 1<<10, false)
	defer r.release()
	n := testing.AllocsPerRun(900, func() {
		for range 2 {
			if _, _, err := r.next(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n > 0.1 {
		t.Errorf("%.2f allocations per two frames", n)
	}
}

func BenchmarkReader(b *testing.B) {
	payload := bytes.Repeat([]byte("x"), 1024)
	frame := append([]byte("\x82\xfe\x04\x00\x01\x02\x03\x04"), payload...)
	src := &repeat{frame: frame}
	r := newReader(src, 1<<20, false)
	defer r.release()
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.next(); err != nil {
			b.Fatal(err)
		}
	}
}

// repeat is an endless sequence of one frame.
type repeat struct {
	frame []byte
	at    int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.frame[r.at:])
		n += c
		r.at = (r.at + c) % len(r.frame)
	}
	return n, nil
}
