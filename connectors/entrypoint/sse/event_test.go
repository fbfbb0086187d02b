package sse_test

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/connectors/entrypoint/sse"
	"github.com/sluice-gateway/sluice/qos/message"
)

type origin struct{}

func (origin) AppendMetadata(dst []message.Field, m *message.Message) []message.Field {
	return append(dst, message.Field{Name: "key", Text: string(m.Key)}, message.Field{Name: "offset", Int: m.Offset, IsInt: true})
}

func TestAppendEvent(t *testing.T) {
	t.Parallel()
	headers := []message.Header{
		{Name: "h", Value: []byte("1")}, {Name: "evil\ndata: x", Value: []byte("a\r\ndata: y\n\nid: z")}, {Name: "H", Value: []byte("2")}, {Name: "key", Value: []byte("hidden")},
	}
	tests := []struct {
		name              string
		m                 message.Message
		headers, metadata bool
		want              string
	}{
		{"plain", message.Message{ID: []byte("i"), Content: []byte("c"), Headers: headers, Origin: origin{}}, false, false, "id: i\nevent: message\ndata: c\n\n"},
		{"no id", message.Message{Content: []byte("c")}, false, false, "event: message\ndata: c\n\n"},
		{"absent content", message.Message{}, false, false, "event: message\ndata: \n\n"},
		{"lines", message.Message{Content: []byte("\na\r\nb\rc\n\r\n")}, false, false, "event: message\ndata: \ndata: a\ndata: b\ndata: c\ndata: \ndata: \n\n"},
		{"id that would break out", message.Message{ID: []byte("a\ndata: x"), Content: []byte("c")}, false, false, "event: message\ndata: c\n\n"},
		{"headers", message.Message{Content: []byte("c"), Headers: headers}, true, false,
			"event: message\ndata: c\n:h: 1,2\n:evil data: x: a  data: y  id: z\n:key: hidden\n\n"},
		{"headers and metadata", message.Message{Content: []byte("c"), Headers: headers, Origin: origin{}, Key: []byte("k\nk"), Offset: 7}, true, true,
			"event: message\ndata: c\n:h: 1,2\n:evil data: x: a  data: y  id: z\n:key: k k\n:offset: 7\n\n"},
		{"metadata", message.Message{Content: []byte("c"), Headers: headers, Origin: origin{}}, false, true, "event: message\ndata: c\n:key: \n:offset: 0\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, string(sse.AppendEvent(nil, &tt.m, tt.headers, tt.metadata))); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever a broker holds, a client parses exactly one event of it, and gets its content up to the form of its line ends.
func FuzzAppendEvent(f *testing.F) {
	f.Add([]byte("id"), []byte("content\r\n"), "name", []byte("value"), "text")
	f.Add([]byte("\n"), []byte("\r\r\n\n\rdata: x"), "a\r", []byte("\n\n"), "\r\n")
	f.Fuzz(func(t *testing.T, id, content []byte, name string, value []byte, key string) {
		m := message.Message{ID: id, Content: content, Headers: []message.Header{{Name: name, Value: value}, {Name: name, Value: content}}, Key: []byte(key), Origin: origin{}}
		out := sse.AppendEvent(nil, &m, true, true)
		p := &parser{t: t, r: bufio.NewReader(bytes.NewReader(out))}
		e, ok := p.next()
		if !ok || e.Type != "message" {
			t.Fatalf("no message in %q", out)
		}
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(content))
		if e.Data != want {
			t.Fatalf("%q came out of %q as %q", want, out, e.Data)
		}
		if len(id) > 0 && !bytes.ContainsAny(id, "\r\n\x00") && e.LastID != string(id) {
			t.Fatalf("id %q, want %q", e.LastID, id)
		}
		if e, ok := p.next(); ok {
			t.Fatalf("a second event %+v in %q", e, out)
		}
	})
}

func TestAppendEvent_Allocations(t *testing.T) {
	m := message.Message{ID: []byte("id"), Content: []byte(strings.Repeat("line\n", 200)), Origin: origin{},
		Headers: []message.Header{{Name: "a", Value: []byte("1")}, {Name: "b", Value: []byte("2")}}}
	buf := make([]byte, 0, 8<<10)
	if n := testing.AllocsPerRun(100, func() { buf = sse.AppendEvent(buf[:0], &m, false, false) }); n > 0 {
		t.Errorf("%v allocations per event", n)
	}
	if n := testing.AllocsPerRun(100, func() { buf = sse.AppendEvent(buf[:0], &m, true, false) }); n > 0 {
		t.Errorf("%v allocations per event with headers", n)
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	for name, content := range map[string]string{"one line": strings.Repeat("x", 1024), "lines": strings.Repeat("0123456789abcde\n", 64)} {
		b.Run(name, func(b *testing.B) {
			m := message.Message{ID: []byte("dGVzdC10b3BpY0AwIzI="), Content: []byte(content)}
			buf := make([]byte, 0, 8<<10)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				buf = sse.AppendEvent(buf[:0], &m, false, false)
			}
		})
	}
}
