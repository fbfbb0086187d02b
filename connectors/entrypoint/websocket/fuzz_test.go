package websocket

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
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

// What one side compresses the other expands to the same, for every window; and no input makes more than the limit of it.
func FuzzInflate(f *testing.F) {
	f.Add([]byte("Hello"), uint8(15))
	f.Add([]byte(strings.Repeat("0123456789abcdef", 100)), uint8(8))
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), uint8(9))
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), uint8(10))
	f.Fuzz(func(t *testing.T, input []byte, window uint8) {
		const most = 1 << 10
		if out, bad := inflate(nil, append([]byte(nil), input...), most); bad == nil && len(out) > most {
			t.Fatalf("%d bytes", len(out))
		} else if bad != nil && !validCode(bad.code) {
			t.Fatalf("code %d", bad.code)
		}
		if len(input) == 0 {
			return // never compressed
		}
		d := deflate{window: 8 + int(window)%8}
		packed := d.append([]byte("before"), input)
		if string(packed[:6]) != "before" {
			t.Fatalf("overwritten: %q", packed[:6])
		}
		out, bad := inflate([]byte("x"), packed[6:], len(input))
		if bad != nil || string(out[1:]) != string(input) {
			t.Fatalf("%v: %q from %q", bad, out, input)
		}
		std, err := io.ReadAll(flate.NewReader(bytes.NewReader(append(packed[6:len(packed):len(packed)], inflateTail...))))
		if err != nil || string(std) != string(input) {
			t.Fatalf("the standard library: %v: %q from %q", err, std, input)
		}
	})
}

// The decoder accepts only what the standard library does, and reads the same from it.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"type":"ack","through":7}`, `{"type":"ack","seqs":[1,2,3]}`, `{"type":"credit","messages":10}`,
		`{"type":"publish","ref":"r","content":"a\u20ac\ud83d\ude00\n","key":"k","headers":{"a":["1","2"]},"headersBase64":{"b":["/w=="]}}`,
		`{"type":"publish","ref":"r","contentBase64":"\/w==","keyBase64":""}`, `{"type":"publish","ref":"r","content":null}`, `{"type":"ack","through":01}`,
		"{\"type\":\"ack\",\"through\":1}\x00", `{"type":"publish","ref":"\ud83d","content":""}`} {
		f.Add([]byte(s))
	}
	var q request
	f.Fuzz(func(t *testing.T, in []byte) {
		if !utf8.Valid(in) {
			return // the reader lets nothing else through
		}
		if bad := q.decode(in); bad != nil {
			if bad.code != codeInvalidData && bad.code != codePolicy || bad.reason == "" || !bad.fault || !utf8.ValidString(bad.reason) {
				t.Fatalf("%+v", bad)
			}
			return
		}
		var std struct {
			Type          string
			Through       uint64
			Seqs          []uint64
			Messages      uint64
			Ref           string
			Content       *string
			ContentBase64 []byte
			Key           string
			KeyBase64     []byte
			Headers       map[string][]string
			HeadersBase64 map[string][][]byte
		}
		if err := json.Unmarshal(in, &std); err != nil {
			t.Fatalf("accepted %q: %v", in, err)
		}
		content, headers := std.ContentBase64, 0
		if std.Content != nil {
			content = []byte(*std.Content)
		}
		for _, v := range std.Headers {
			headers += len(v)
		}
		for _, v := range std.HeadersBase64 {
			headers += len(v)
		}
		if q.kind != std.Type || q.through != std.Through || !slices.Equal(q.seqs, std.Seqs) || q.messages != std.Messages ||
			string(q.ref) != std.Ref || string(q.content) != string(content) || string(q.key) != std.Key+string(std.KeyBase64) || len(q.headers) < headers {
			t.Fatalf("%q: %+v, want %+v", in, q, std)
		}
	})
}

func TestDecode_Allocations(t *testing.T) {
	if fake.Race {
		t.Skip("counted without the race detector")
	}
	var q request
	for _, s := range []string{`{"type":"ack","through":7}`, `{"type":"ack","seqs":[1,2,3]}`, `{"type":"credit","messages":10}`,
		`{"type":"publish","ref":"r","content":"text","key":"k"}`, `{"type":"publish","ref":"r","content":"a\n","headers":{"a":["1"]}}`} {
		in := []byte(s)
		n := testing.AllocsPerRun(100, func() {
			if bad := q.decode(in); bad != nil {
				t.Fatal(bad)
			}
		})
		if n > 0 {
			t.Errorf("%v allocations for %s", n, s)
		}
	}
}

// A message costs nothing on its way out, however it is framed; its proof costs the one message that says where it lies.
func TestFeed_Allocations(t *testing.T) {
	if fake.Race {
		t.Skip("sync.Pool drops items under the race detector")
	}
	m := message.Message{ID: []byte("id"), Content: []byte(strings.Repeat("text ", 200)), Topic: "t",
		Headers: []message.Header{{Name: "a", Value: []byte("1")}, {Name: "b", Value: []byte("\xff")}}}
	for name, fr := range map[string]*framer{"raw": {}, "v1": {v1: true}, "compressed": {deflate: &deflate{window: 15}},
		"compressed for a small window": {deflate: &deflate{window: 10}}, "v1, compressed": {v1: true, deflate: &deflate{window: 15}}} {
		buf := make([]byte, 0, 4<<10)
		w := &window{counted: true, each: fr.v1}
		fd := &feed{framer: fr, window: w, sub: fake.Endless(m), level: qos.AtLeastOnce}
		n := testing.AllocsPerRun(1000, func() {
			buf, _ = fd.frame(buf[:0], &m, false)
			number, _ := w.seal()
			if fr.v1 {
				number = w.number
			}
			w.through(number)
			_ = w.take()
		})
		if n > 1.1 { // the place that DeliveredThrough is told, once per proof
			t.Errorf("%s: %v allocations", name, n)
		}
	}
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
