package websocket

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/connectors/eventloop"
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

// The parser never panics, never holds more than its limit, gives only valid text, and gives the same however its input is cut.
func FuzzParser(f *testing.F) {
	f.Add([]byte("\x81\x81\x01\x02\x03\x04\x60"), uint8(1))
	f.Add([]byte("\x01\x80\x00\x00\x00\x00\x89\x80\x00\x00\x00\x00\x80\x81\x00\x00\x00\x00a"), uint8(2))
	f.Add([]byte("\x82\xfe\x00\x03\x00\x00\x00\x00abc\x88\x82\x00\x00\x00\x00\x03\xe8"), uint8(3))
	f.Add([]byte("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), uint8(5))
	f.Add([]byte("\x89\x83\x01\x02\x03\x04abc\x01\x82\x00\x00\x00\x00a\xc3\x8a\x80\x00\x00\x00\x00\x80\x81\x00\x00\x00\x00\xa9"), uint8(1))
	f.Add([]byte("\xc1\x87\x00\x00\x00\x00\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x81\x00\x00\x00\x00b"), uint8(4))
	f.Fuzz(func(t *testing.T, input []byte, step uint8) {
		whole := parseAll(t, input, len(input)+1)
		if cut := parseAll(t, input, 1+int(step)); !slices.Equal(whole, cut) {
			t.Fatalf("in one piece %q, in pieces %q", whole, cut)
		}
	})
}

// parseAll parses input in pieces of so many bytes and returns what it holds.
func parseAll(t *testing.T, input []byte, step int) (got []string) {
	const most = 64
	r := parser{maxMessage: most, inflate: true}
	defer r.release()
	for piece := range slices.Chunk(slices.Clone(input), step) { // which the parser changes
		for len(piece) > 0 {
			n, op, payload, bad := r.next(piece)
			if n == 0 && bad == nil {
				t.Fatal("nothing was taken")
			}
			piece = piece[n:]
			switch {
			case bad != nil && !validCode(bad.code):
				t.Fatalf("code %d", bad.code)
			case bad != nil:
				return append(got, bad.reason)
			case op == opText && !utf8.Valid(payload):
				t.Fatalf("text %q", payload)
			case op >= opClose && len(payload) > maxControl, op < opClose && len(payload) > most:
				t.Fatalf("%d bytes of opcode %d", len(payload), op)
			case op == opClose:
				if end := parseClose(payload); end.code != codeNoStatus && !validCode(end.code) {
					t.Fatalf("answer %d to %q", end.code, payload)
				}
			}
			if op != 0 {
				got = append(got, fmt.Sprintf("%d %s", op, payload))
			}
			r.done()
		}
	}
	if r.op == 0 && (r.message != nil || r.control != nil && !r.payload) {
		t.Fatal("something is kept between messages")
	}
	return got
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
		var o eventloop.Output
		w := &window{counted: true, each: fr.v1}
		fd := newFeed(fake.Endless(m), fr, w, qos.AtLeastOnce)
		run := []message.Message{m}
		n := testing.AllocsPerRun(1000, func() {
			o.Reset(time.Time{})
			fd.view = message.Alone(run)
			fd.frame(&o, false)
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

// A frame that is whole in one piece is used where it lies.
func TestParser_Allocations(t *testing.T) {
	frames := []byte("\x81\x85\x01\x02\x03\x04iglmn\x82\x81\x00\x00\x00\x00x\x89\x81\x00\x00\x00\x00x")
	r := parser{maxMessage: 1 << 10}
	p := make([]byte, len(frames))
	n := testing.AllocsPerRun(1000, func() {
		copy(p, frames)
		for rest := p; len(rest) > 0; {
			n, op, _, bad := r.next(rest)
			if op == 0 || bad != nil || r.message != nil {
				t.Fatal(op, bad)
			}
			r.done()
			rest = rest[n:]
		}
	})
	if n > 0 {
		t.Errorf("%v allocations per three frames", n)
	}
}

func BenchmarkParser(b *testing.B) {
	payload := bytes.Repeat([]byte("x"), 1024)
	frame := append([]byte("\x82\xfe\x04\x00\x01\x02\x03\x04"), payload...)
	for name, piece := range map[string]int{"whole": len(frame), "in pieces": 300} {
		b.Run(name, func(b *testing.B) {
			r := parser{maxMessage: 1 << 20}
			defer r.release()
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				for rest := range slices.Chunk(frame, piece) { // unmasked to something else each time
					if frame[0] = 0x82; len(rest) > 0 {
						if _, _, _, bad := r.next(rest); bad != nil {
							b.Fatal(bad)
						}
						r.done()
					}
				}
			}
		})
	}
}
