package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPage_IsCommitted(t *testing.T) {
	t.Parallel()
	have, err := os.ReadFile("../../../docs/qos.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), string(appendPage(nil))); diff != "" {
		t.Errorf("docs/qos.md is not what the matrix says, run 'make docs' (-file +matrix):\n%s", diff)
	}
}

func TestPage_Cells(t *testing.T) {
	t.Parallel()
	page := string(appendPage(nil))
	for _, c := range []struct{ name, want string }{
		{"levels", "| `http-post` | none<br>auto | none<br>auto |"},
		{"an addition beside a level of the seed", "| `http-get` | auto<br>at-most-once [3]<br>at-least-once [3] |"},
		{"a reason", "\n3. the plain type does all that its advanced name does\n"},
	} {
		if !strings.Contains(page, c.want) {
			t.Errorf("%s: the page has no %q:\n%s", c.name, c.want, page)
		}
	}
}

func TestRun_Arguments(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "qos.md")
	if err := run([]string{file}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != string(appendPage(nil)) {
		t.Errorf("%v: %q", err, b)
	}
	if err := run(nil); err == nil {
		t.Error("no file named, and no error")
	}
}
