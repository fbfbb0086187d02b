package output

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGrid_AlignsByWhatIsSeen(t *testing.T) {
	t.Parallel()
	g := Grid{Header: []string{"NAME", "STATE"}, Rows: [][]Cell{
		{{Text: "Bestellübersicht"}, {Text: "ready", Style: Good}},
		{{Text: "x", Style: Bold}, Text("")},
	}}
	for _, c := range []struct {
		name   string
		colour bool
		want   string
	}{
		{"plain", false, "NAME               STATE\nBestellübersicht   ready\nx                  -\n"},
		{"colour", true, "NAME               STATE\nBestellübersicht   \x1b[32mready\x1b[0m\n\x1b[1mx\x1b[0m                  -\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := g.Write(&b, c.colour); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWriteJSON_YAMLKeepsOrderAndDigits(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	text := `{"z":12345678901234567890,"version":"1.0","on":"no","text":"a\nb\n","empty":[],"at":"2026-11-22","none":null,"f":1.50}`
	if err := WriteJSON(&b, YAML, []byte(text)); err != nil {
		t.Fatal(err)
	}
	want := "z: 12345678901234567890\nversion: \"1.0\"\non: \"no\"\ntext: |\n  a\n  b\nempty: []\nat: \"2026-11-22\"\nnone: null\nf: 1.50\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestColour_NeverWhereNobodyLooks(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if Colour(null) || Colour(file) || Colour(&bytes.Buffer{}) {
		t.Error("colour where there is no terminal")
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	if Count(1, "problem") != "1 problem" || Count(0, "problem") != "0 problems" {
		t.Error("wrong number")
	}
}
