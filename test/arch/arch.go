// Package arch checks the architecture: which package may import which, how long a file may grow, that a package says
// what it is for, and that none is called by a name that says nothing. It parses the sources itself; a check that
// called go list was served from the test cache after a forbidden import had been added.
package arch

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Lines in a file that is neither a test nor generated.
const (
	linesToWarn = 400
	linesToFail = 500
)

// meaningless are package names that would hold anything.
var meaningless = []string{"util", "utils", "common", "types", "helper", "helpers", "manager"}

// Problem is one thing wrong, and where.
type Problem struct {
	Path string // of a file or a folder, from the module's root
	Text string
}

func (p Problem) String() string { return p.Path + ": " + p.Text }

// Report is what a check found, each list in the order of paths.
type Report struct {
	Errors, Warnings []Problem
}

// Check reads the Go files of a module below root, those of other build tags included, and leaves out testdata, hidden
// folders and modules within. An error means that a file could not be read or parsed.
func Check(root fs.FS, module string) (Report, error) {
	c := checker{root: root, module: module, commented: map[string]bool{}}
	err := fs.WalkDir(root, ".", c.visit)
	if err != nil {
		return Report{}, fmt.Errorf("check architecture: %w", err)
	}
	for _, dir := range slices.Sorted(maps.Keys(c.commented)) {
		if !c.commented[dir] {
			c.fail(dir, "package comment is missing: say what the package does and what it does not")
		}
	}
	return c.Report, nil
}

type checker struct {
	Report
	root   fs.FS
	module string
	// commented tells of each folder that has a package, tests aside, whether one of its files has a package comment.
	commented map[string]bool
}

func (c *checker) fail(path, format string, args ...any) {
	c.Errors = append(c.Errors, Problem{path, fmt.Sprintf(format, args...)})
}

func (c *checker) visit(name string, entry fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case entry.IsDir():
		return c.enter(name)
	case strings.HasSuffix(name, ".go"):
		return c.file(name)
	}
	return nil
}

// enter skips the folders that hold no package of the module.
func (c *checker) enter(dir string) error {
	base := path.Base(dir)
	if dir == "." {
		return nil
	}
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor" {
		return fs.SkipDir
	}
	_, err := fs.Stat(c.root, path.Join(dir, "go.mod"))
	if err == nil {
		return fs.SkipDir
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (c *checker) file(name string) error {
	src, err := fs.ReadFile(c.root, name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.ImportsOnly)
	if err != nil {
		return err
	}
	for _, spec := range parsed.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		c.imports(name, target)
	}
	if !isTest(name) {
		c.source(name, src, parsed)
	}
	return nil
}

// imports checks one import of a file.
func (c *checker) imports(file, target string) {
	if target == c.module {
		target = "."
	} else if rest, ours := strings.CutPrefix(target, c.module+"/"); ours {
		target = rest
	} else {
		return
	}
	if why := refuse(path.Dir(file), target, isTest(file)); why != "" {
		c.fail(file, "imports %s: %s", target, why)
	}
}

// source checks what only files that are built into a binary must keep.
func (c *checker) source(file string, src []byte, parsed *ast.File) {
	dir := path.Dir(file)
	top, _, _ := strings.Cut(dir, "/")
	if _, known := arrows[top]; !known && dir != "." {
		c.fail(file, "folder %s is not in the package tree", top)
	}
	if top == "deploy" {
		c.fail(file, "deploy holds no Go except tests that load its samples")
	}
	if slices.Contains(meaningless, path.Base(dir)) || slices.Contains(meaningless, parsed.Name.Name) {
		c.fail(file, "package name %s says nothing about what is in it", parsed.Name.Name)
	}
	c.commented[dir] = c.commented[dir] || parsed.Doc != nil
	if ast.IsGenerated(parsed) {
		return
	}
	switch lines := bytes.Count(src, []byte("\n")); {
	case lines > linesToFail:
		c.fail(file, "%d lines, at most %d: split it by noun", lines, linesToFail)
	case lines > linesToWarn:
		c.Warnings = append(c.Warnings, Problem{file, fmt.Sprintf("%d lines, better under %d", lines, linesToWarn)})
	}
}

func isTest(file string) bool { return strings.HasSuffix(file, "_test.go") }
