package el

import (
	"go/ast"
	goparser "go/parser"
	gotoken "go/token"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// The page for users names all that may be written, and every code.
func TestDocs_NameEverything(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/expression-language.md")
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(maps.Keys(methods))
	for name := range functions {
		names = append(names, "#"+name)
	}
	for _, table := range [][]string{slices.Collect(maps.Keys(statics)), slices.Collect(maps.Keys(constants))} {
		for _, full := range table {
			class, name, _ := strings.Cut(full[strings.LastIndexByte(full[:strings.LastIndexByte(full, '.')], '.')+1:], ".")
			names = append(names, class, name)
		}
	}
	for r := RootRequest; r < roots_; r++ {
		names = append(append(names, r.String()), r.members()...)
	}
	names = append(names, codes(t)...)
	for _, name := range names {
		if text := string(page); !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`"+name+"(") && !strings.Contains(text, "."+name+"`") {
			t.Errorf("the page does not name %s", name)
		}
	}
}

// codes are the values of all constants of type Code.
func codes(t *testing.T) []string {
	t.Helper()
	file, err := goparser.ParseFile(gotoken.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Code" {
				out = append(out, strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`))
			}
		}
		return true
	})
	if len(out) < 15 {
		t.Fatalf("only %d codes", len(out))
	}
	return out
}
