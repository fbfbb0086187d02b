package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
)

const module = "github.com/sluice-gateway/sluice/"

// sources are the comments of packages, read once.
type sources struct {
	root     string
	packages map[string]*source // by import path
}

// source is what a package says of itself.
type source struct {
	dir, doc string
	fields   map[string]map[string]string // by type and field: its comment
}

func (s *sources) of(pkg string) (*source, error) {
	if have := s.packages[pkg]; have != nil {
		return have, nil
	}
	out := &source{dir: filepath.Join(s.root, strings.TrimPrefix(pkg, module)), fields: map[string]map[string]string{}}
	entries, err := os.ReadDir(out.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(out.dir, e.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if file.Doc != nil {
			out.doc = file.Doc.Text()
		}
		ast.Inspect(file, out.structs)
	}
	s.packages[pkg] = out
	return out, nil
}

// structs notes the comments of the fields of a struct.
func (s *source) structs(n ast.Node) bool {
	spec, ok := n.(*ast.TypeSpec)
	if !ok {
		return true
	}
	t, ok := spec.Type.(*ast.StructType)
	if !ok {
		return true
	}
	fields, before := map[string]string{}, ""
	for _, f := range t.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		for _, name := range f.Names {
			switch {
			case text != "":
				fields[name.Name] = text
			case strings.Contains(before, name.Name): // one comment for several
				fields[name.Name] = before
			}
		}
		if text != "" {
			before = text
		}
	}
	s.fields[spec.Name.Name] = fields
	return true
}

// comment is that of a field, in one line, for people who know its JSON name only.
func (s *sources) comment(t reflect.Type, f reflect.StructField) (string, error) {
	src, err := s.of(t.PkgPath())
	if err != nil {
		return "", err
	}
	text, ok := src.fields[t.Name()][f.Name]
	if !ok {
		return "", fmt.Errorf("%s.%s has no comment, which is its documentation", t, f.Name)
	}
	return translate(text, t), nil
}

var (
	specs = regexp.MustCompile(` ?\((policies\.md|spec|addenda)[^)]*\)`)
	hump  = regexp.MustCompile(`[a-z][A-Z]`)
	words = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*\b`)
)

// translate puts a comment into one line, with the JSON names of the fields that it names, and without references to
// where the facts are from.
func translate(text string, t reflect.Type) string {
	text = specs.ReplaceAllString(strings.Join(strings.Fields(text), " "), "")
	begins := true
	return words.ReplaceAllStringFunc(text, func(word string) string {
		first := begins
		begins = false
		if !first && !hump.MatchString(word) {
			return word // an ordinary one with a capital
		}
		if f, ok := t.FieldByName(word); ok {
			if name := jsonName(f); name != "" {
				return "`" + name + "`"
			}
		}
		return word
	})
}

// jsonName is the name of a field in configurations; empty: it is in none.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" || !f.IsExported() {
		return ""
	}
	return name
}

// introduction is a package comment as the beginning of a page.
func introduction(doc string) string {
	_, doc, _ = strings.Cut(doc, " is ") // "Package x is the policy ..."
	doc = specs.ReplaceAllString(doc, "")
	return "This is " + strings.TrimSpace(doc) + "\n"
}
