package apidef

import (
	"bytes"
	"fmt"
	"slices"
)

// Document is one definition as a user wrote it: its normal form, and the way back from the normal form to the text.
type Document struct {
	API       *API
	Dialect   Dialect // the one found
	Name      string  // metadata.name of a manifest
	Namespace string  // metadata.namespace of a manifest

	tree     *node
	origins  origins
	problems Problems
}

// Decode reads the one definition in data: JSON or YAML, any dialect, bare, in a manifest or in an export.
//
// It does not stop at the first problem. The error, where there is one, is Problems: every problem found in reading,
// at least one of them an Error. Where the text could be read at all, a Document comes with it, and Validate on that
// returns the same problems together with those of the definition's rules; only a Document that came without an error
// may be used for anything else.
func Decode(data []byte) (*Document, error) {
	all := parse(data)
	if len(all) > 1 {
		return nil, Problems{{
			Message: fmt.Sprintf("holds %d documents; give one definition at a time", len(all)), Code: CodeMalformed, Severity: Error,
		}}
	}
	doc, problems := read(all[0])
	return doc, problems.Err()
}

// DecodeAll reads every definition in data, which may be a YAML text of several documents. Documents come in the order
// of the text, those with errors too (see Decode) unless they could not be read at all. The error is Problems, where
// there is more than one document with its number, from 1, before each message.
func DecodeAll(data []byte) ([]*Document, error) {
	all := parse(data)
	var docs []*Document
	var problems Problems
	for i, p := range all {
		doc, found := read(p)
		if doc != nil {
			docs = append(docs, doc)
		}
		for _, problem := range found {
			if len(all) > 1 {
				problem.Message = fmt.Sprintf("document %d: %s", i+1, problem.Message)
			}
			problems = append(problems, problem)
		}
	}
	return docs, problems.Err()
}

// parse reads the text into trees, at least one. A text that begins with a brace or a bracket is JSON and nothing
// else: YAML would forgive it too much.
func parse(data []byte) []parsed {
	if len(data) > maxDocumentBytes {
		return []parsed{{problems: Problems{*tooMuch("", fmt.Sprintf("is %d bytes long; the limit is %d", len(data), maxDocumentBytes))}}}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // a byte order mark
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		root, problems := parseJSON(data)
		return []parsed{{root: root, problems: problems}}
	}
	all := parseYAML(data)
	if len(all) == 0 {
		all = []parsed{{problems: Problems{{Message: "is empty; it must hold an API definition", Code: CodeMalformed, Severity: Error}}}}
	}
	return all
}

// read turns a tree into a Document, with all problems found. There is none where the tree is something else.
func read(p parsed) (*Document, Problems) {
	if p.root == nil {
		return nil, p.problems
	}
	e := open(p.root)
	r := &reader{dialect: e.dialect, origins: origins{"": e.at}}
	for _, problem := range p.problems {
		r.add(problem)
	}
	doc := &Document{Dialect: e.dialect, tree: p.root, origins: r.origins}
	if r.refuseOther(p.root, e) {
		return nil, doc.place(r.all())
	}
	doc.readManifest(r)
	api := apiShape.read(r, e.api, place{from: e.at})
	if name := e.api.get("name"); name == nil || name.kind == nullKind {
		api.Name = doc.Name
	}
	api.Carried, api.Unknown = r.carried, r.unknown
	doc.API = &api
	doc.problems = doc.place(r.all())
	return doc, doc.problems
}

// readManifest takes what Kubernetes keeps around the definition.
func (d *Document) readManifest(r *reader) {
	if d.Dialect != CRD {
		return
	}
	metadata := d.tree.get("metadata")
	for name, to := range map[string]*string{"name": &d.Name, "namespace": &d.Namespace} {
		if v := metadata.get(name); v != nil && v.kind != nullKind {
			at := childOf("/metadata", name)
			*to = text.read(r, v, place{from: at})
		}
	}
	for _, e := range d.tree.entries {
		if !manifestMembers[e.name] {
			r.warn(place{from: childOf("", e.name)}, CodeMemberUnknown, "is no member of a manifest; Kubernetes drops it")
		}
	}
}

// Problems are those found in reading, errors and warnings, in document order.
func (d *Document) Problems() Problems { return slices.Clone(d.problems) }

// Origin turns a pointer into the normal form into one into the document as the user wrote it.
func (d *Document) Origin(pointer string) string { return d.origins.of(pointer) }

// place puts problems in document order, each once, and gives them their line.
func (d *Document) place(found Problems) Problems {
	type located struct {
		Problem
		path []int
	}
	var all []located
	seen := map[Problem]bool{}
	for _, p := range found {
		path, at := d.tree.locate(p.Pointer)
		if p.Line == 0 && at != nil {
			p.Line, p.Column = at.line, at.column
		}
		if !seen[p] {
			seen[p] = true
			all = append(all, located{Problem: p, path: path})
		}
	}
	slices.SortStableFunc(all, func(a, b located) int { return slices.Compare(a.path, b.path) })
	out := make(Problems, len(all))
	for i, l := range all {
		out[i] = l.Problem
	}
	return out
}
