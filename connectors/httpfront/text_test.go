package httpfront_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

func FuzzAppendJSONString(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\"\\\n\r\t\x7f", "é€😀", "a\xffb\xc3", "</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(httpfront.AppendJSONString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := strings.ToValidUTF8(s, "\x00"); strings.Count(got, "\ufffd") < strings.Count(want, "\ufffd") || got != each(s) {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

// TestAppendJSONString_WhereverItStands puts each byte at each place of a word.
func TestAppendJSONString_WhereverItStands(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 20 {
			s := []byte(strings.Repeat("a", 20))
			s[at] = byte(c)
			if at > 0 {
				s[at-1] = '"' // a neighbour that is not plain either
			}
			var got string
			if err := json.Unmarshal(httpfront.AppendJSONString(nil, s), &got); err != nil || got != each(string(s)) {
				t.Fatalf("%q became %q, %v", s, got, err)
			}
		}
	}
}

// each replaces every byte that is not UTF-8, one by one.
func each(s string) string { return string([]rune(s)) }

func TestGroupHeaders(t *testing.T) {
	t.Parallel()
	many := make([]message.Header, 0, 100)
	for range 30 {
		many = append(many, message.Header{Name: "A", Value: []byte("1")}, message.Header{Name: "b", Value: []byte("2")}, message.Header{Name: "a", Value: []byte("3")})
	}
	for _, n := range []int{0, 3, 6, 24, 27, 90} {
		type group struct {
			Name   string
			Values int
		}
		var got, want []group
		groups := httpfront.GroupHeaders(many[:n])
		for name, values, ok := groups.Next(); ok; name, values, ok = groups.Next() {
			got = append(got, group{name, len(values)})
		}
		if n > 0 {
			want = []group{{"A", n / 3 * 2}, {"b", n / 3}}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d headers (-want +got):\n%s", n, diff)
		}
	}
}

func BenchmarkAppendJSONString(b *testing.B) {
	for name, s := range map[string]string{"ascii": strings.Repeat("0123456789abcdef", 64), "quotes": strings.Repeat(`{"key":"value"}`, 68), "greek": strings.Repeat("κόσμε ", 93)} {
		b.Run(name, func(b *testing.B) {
			var dst []byte
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				dst = httpfront.AppendJSONString(dst[:0], s)
			}
		})
	}
}
