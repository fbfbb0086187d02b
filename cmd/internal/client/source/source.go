// Package source reads API definitions from files, directories, patterns and standard input, and checks all of them
// before anything is done with one. It calls no server.
package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/identity"
)

// Stdin is the name that stands for standard input, and StdinLabel what it is called in messages.
const (
	Stdin      = "-"
	StdinLabel = "standard input"
)

// maxFile bounds what is read of one file, in bytes: what apidef takes, and one more so that it can refuse the rest.
const maxFile = 4<<20 + 1

// extensions are those of the files that are read in a directory.
var extensions = []string{".json", ".yaml", ".yml"}

// File is one file with its definitions.
type File struct {
	Name        string
	Definitions []*Definition
	Problems    apidef.Problems // of all its definitions, in document order
}

// Definition is one definition of a file.
type Definition struct {
	File   string
	Number int // from 1; 0 where it is the only one of its file
	*apidef.Document
}

// CrossID is what identifies the definition besides its id: its own crossId, or the one derived from the manifest's
// namespace and name (spec 9.6).
func (d *Definition) CrossID() string {
	switch {
	case d.API.CrossID != "":
		return d.API.CrossID
	case d.Dialect == apidef.CRD && d.Name != "":
		return identity.Manifest(d.Namespace, d.Name)
	}
	return ""
}

// Label names the definition for messages: the file, and the number where the file holds several.
func (d *Definition) Label() string {
	if d.Number > 0 {
		return fmt.Sprintf("%s (document %d)", d.File, d.Number)
	}
	return d.File
}

// Load reads and checks every definition that args name: files, directories with all below them, patterns, or "-". It
// does not stop at a problem of a definition; an error means that a file could not be read.
func Load(args []string, stdin io.Reader, env apidef.Validation) ([]*File, error) {
	names, err := expand(args)
	if err != nil {
		return nil, err
	}
	var files []*File
	for _, name := range names {
		data, err := read(name, stdin)
		if err != nil {
			return nil, err
		}
		if name == Stdin {
			name = StdinLabel
		}
		files = append(files, decode(name, data, env))
	}
	checkTogether(files)
	return files, nil
}

// Definitions are those of all files, in order.
func Definitions(files []*File) []*Definition {
	var all []*Definition
	for _, f := range files {
		all = append(all, f.Definitions...)
	}
	return all
}

func read(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != Stdin {
		f, err := os.Open(name)
		if err != nil {
			return nil, readable(err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile))
	if err != nil {
		return nil, readable(err)
	}
	return data, nil
}

// readable leaves the system call out of a file's error.
func readable(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}

// expand turns args into file names, each once, in the order given; those of a directory or pattern are sorted.
func expand(args []string) ([]string, error) {
	var names []string
	for _, arg := range args {
		found, err := expandOne(arg)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

func expandOne(arg string) ([]string, error) {
	if arg == Stdin {
		return []string{arg}, nil
	}
	info, err := os.Stat(arg)
	if err == nil && info.IsDir() {
		return walk(arg)
	}
	if err == nil || !strings.ContainsAny(arg, "*?[") {
		return []string{arg}, readable(err)
	}
	found, err := filepath.Glob(arg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no file matches", arg)
	}
	return found, nil
}

// walk finds the definition files of a directory and those below it; hidden ones are left out.
func walk(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(entry.Name(), ".") && name != dir
		switch {
		case err != nil:
			return readable(err)
		case hidden && entry.IsDir():
			return filepath.SkipDir
		case !hidden && !entry.IsDir() && slices.Contains(extensions, filepath.Ext(name)):
			names = append(names, name)
		}
		return nil
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("%s: holds no definition (%s)", dir, strings.Join(extensions, ", "))
	}
	return names, err
}
