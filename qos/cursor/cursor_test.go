package cursor

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParse_Accepts(t *testing.T) {
	t.Parallel()
	plain := "my-topic@1#0,2#-1;other@0#10"
	want := Cursor{Kind: At, At: []Position{{"my-topic", 1, 0}, {"my-topic", 2, -1}, {"other", 0, 10}}}
	for _, tc := range []struct {
		name, text string
		want       Cursor
	}{
		{"nothing", "", Cursor{}},
		{"earliest", "earliest", Cursor{Kind: Earliest}},
		{"latest", "latest", Cursor{Kind: Latest}},
		{"time", "@2026-11-22T10:00:00Z", Cursor{Kind: Time, Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}},
		{"plain", plain, want},
		{"base64", base64.StdEncoding.EncodeToString([]byte(plain)), want},
		{"unpadded", base64.RawStdEncoding.EncodeToString([]byte(plain)), want},
		{"url", base64.URLEncoding.EncodeToString([]byte(plain)), want},
		{"the reference's", "dGVzdC10b3BpY0AwIzI=", Cursor{Kind: At, At: []Position{{"test-topic", 0, 2}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"@yesterday", "topic", "t@0", "t@#1", "t@0#", "t@0#-2", "t@0#+1", "t@x#1", "t@-1#1", "t@0#1,0#2", "t@0#1;t@0#2",
		"@0#1", "t o@0#1", "t@0#1;", "t@0#1,", "t@99999999999#1", "t@0#99999999999999999999", "%%%", "a@b@0#1",
		strings.Repeat("t", 250) + "@0#1", strings.Repeat("x", MaxLength+1), "dGVzdA==",
	} {
		if c, err := Parse(text); err == nil {
			t.Errorf("%.40q is taken as %+v", text, c)
		}
	}
}

func TestWriter_EqualsAppend(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "positions")
		encode := rapid.Bool().Draw(t, "encode")
		vector := make([]Position, n)
		for i := range vector {
			topic := rapid.SampledFrom([]string{"a", "bb"}).Draw(t, "topic")
			vector[i] = Position{topic, int32(i), rapid.Int64Range(-1, 2000).Draw(t, "offset")}
		}
		var w Writer
		w.Reset(vector, encode)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, n-1).Draw(t, "i")
			vector[i].Offset += rapid.Int64Range(1, 3000).Draw(t, "by")
			w.Set(i, vector[i].Offset)
			got := string(w.Append(nil))
			if want := string(Append(nil, w.at, encode)); got != want {
				t.Fatalf("writer has %s, want %s", got, want)
			}
			back, err := Parse(got)
			if err != nil || len(back.At) != n {
				t.Fatalf("%s reads back as %+v, %v", got, back, err)
			}
			for _, p := range vector {
				if !contains(back.At, p) {
					t.Fatalf("%s lost %+v", got, p)
				}
			}
		}
	})
}

func contains(all []Position, p Position) bool {
	for _, q := range all {
		if p == q {
			return true
		}
	}
	return false
}

func TestWriter_AllocatesNothing(t *testing.T) {
	var w Writer
	w.Reset([]Position{{"orders", 0, 1000000}, {"orders", 1, 2000000}}, true)
	buf := make([]byte, 0, 256)
	offset := int64(1000000)
	if n := testing.AllocsPerRun(1000, func() {
		offset++
		w.Set(0, offset)
		buf = w.Append(buf[:0])
	}); n != 0 {
		t.Fatalf("%v allocations per id", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "earliest", "@2026-11-22T10:00:00Z", "t@0#1,1#2;u@0#-1", "dGVzdC10b3BpY0AwIzI="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil || c.Kind != At {
			return
		}
		var w Writer // groups topics, as Append wants them
		w.Reset(c.At, true)
		again, err := Parse(string(w.Append(nil)))
		if err != nil || len(again.At) != len(c.At) {
			t.Fatalf("%q -> %+v -> %+v, %v", text, c, again, err)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	var w Writer
	vector := make([]Position, 6)
	for i := range vector {
		vector[i] = Position{"orders", int32(i), 1000000}
	}
	w.Reset(vector, true)
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Set(i%6, int64(1000000+i))
		buf = w.Append(buf[:0])
	}
}
