package httpget

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/qos/message"
)

// Whatever a broker holds, a page is well-formed and has one item, and JSON and XML give the content back.
func FuzzFormats(f *testing.F) {
	f.Add("id", "content", "name", "value", "limit")
	f.Add("<&>", "]]>]]]]>>\r\n\x00\ufffe", "1<x", "\r]]>", "\"")
	f.Add("", "\xff\xed\xa0\x80", "xmlns", "é", "")
	f.Fuzz(func(t *testing.T, id, content, name, value, limit string) {
		m := message.Message{ID: []byte(id), Content: []byte(content), Headers: []message.Header{{Name: name, Value: []byte(value)}, {Name: "b", Value: []byte(name)}}}
		page := func(f format) []byte {
			o := options{headers: true, metadata: true}
			end := tail{gaps: []gap{{0, []byte(value)}}, err: &m, cursor: []byte(id), limit: limit}
			return f.appendEnd(f.appendItem(f.appendStart(nil), 0, &m, o), &end, o)
		}
		var inJSON struct {
			Items []struct{ ID, Content string }
		}
		if err := json.Unmarshal(page(jsonFormat{}), &inJSON); err != nil || len(inJSON.Items) != 1 {
			t.Fatalf("%v in %s", err, page(jsonFormat{}))
		}
		if got := inJSON.Items[0].Content; got != string([]rune(content)) {
			t.Fatalf("%q became %q", content, got)
		}
		checkXML(t, page(xmlFormat{}), content)
		_ = page(textFormat{})
	})
}

func checkXML(t *testing.T, page []byte, content string) {
	t.Helper()
	var inXML struct {
		Items []struct {
			Content string `xml:"content"`
		} `xml:"items>item"`
	}
	d := xml.NewDecoder(strings.NewReader(string(page)))
	if err := d.Decode(&inXML); err != nil || len(inXML.Items) != 1 {
		t.Fatalf("%v in %q", err, page)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("more after the page: %v in %q", err, page)
	}
	want := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, content)
	if got := inXML.Items[0].Content; got != want {
		t.Fatalf("%q became %q", content, got)
	}
}

func BenchmarkFormats(b *testing.B) {
	m := message.Message{ID: []byte("dGVzdC10b3BpY0AwIzI="), Content: []byte(strings.Repeat(`{"key":"value","n":123}`, 44))}
	for _, f := range formats {
		b.Run(f.mediaType(), func(b *testing.B) {
			var buf []byte
			b.SetBytes(int64(len(m.Content)))
			b.ReportAllocs()
			for b.Loop() {
				buf = f.appendItem(buf[:0], 1, &m, options{})
			}
		})
	}
}
