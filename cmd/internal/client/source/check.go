package source

import (
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// codeTwice is the code of a definition that is given twice.
const codeTwice = "definition.duplicated"

// decode reads the definitions of one file and checks each by itself.
func decode(name string, data []byte, env apidef.Validation) *File {
	f := &File{Name: name}
	docs, err := apidef.DecodeAll(data)
	found, _ := err.(apidef.Problems) // DecodeAll returns nothing else
	unread, missing := unreadable(found, docs)
	several := len(docs)+len(missing) > 1
	number := 0
	for _, doc := range docs {
		for number++; missing[number]; number++ {
		}
		d := &Definition{File: name, Document: doc}
		if several {
			d.Number = number
		}
		f.Definitions = append(f.Definitions, d)
		for _, p := range doc.Validate(env) {
			f.Problems = append(f.Problems, d.about(p))
		}
	}
	f.Problems = append(f.Problems, unread...)
	return f
}

// unreadable are the problems of documents that could not be read at all, and the numbers of those documents:
// DecodeAll returns no Document for them, so their problems are those that no Document has.
func unreadable(found apidef.Problems, docs []*apidef.Document) (apidef.Problems, map[int]bool) {
	told := map[string]bool{}
	for _, doc := range docs {
		for _, p := range doc.Problems() {
			told[p.Code+"\x00"+p.Pointer+"\x00"+p.Message] = true
		}
	}
	var rest apidef.Problems
	numbers := map[int]bool{}
	for _, p := range found {
		var number int
		text := p.Message
		if n, _ := fmt.Sscanf(text, "document %d: ", &number); n == 1 {
			_, text, _ = strings.Cut(text, ": ")
		}
		if told[p.Code+"\x00"+p.Pointer+"\x00"+text] {
			continue
		}
		numbers[max(number, 1)] = true
		rest = append(rest, p)
	}
	return rest, numbers
}

// about puts the number of the document before a message where there are several.
func (d *Definition) about(p apidef.Problem) apidef.Problem {
	if d.Number > 0 {
		p.Message = fmt.Sprintf("document %d: %s", d.Number, p.Message)
	}
	return p
}

// checkTogether finds what is wrong between definitions: one given twice, two that want the same path.
func checkTogether(files []*File) {
	var before []*Definition
	for _, f := range files {
		for _, d := range f.Definitions {
			if p, twice := repeated(d, before); twice {
				f.Problems = append(f.Problems, d.about(p))
			} else {
				f.Problems = append(f.Problems, conflicts(d, before)...)
			}
			before = append(before, d)
		}
	}
}

func repeated(d *Definition, before []*Definition) (apidef.Problem, bool) {
	for _, o := range before {
		pointer := ""
		switch {
		case d.API.ID != "" || o.API.ID != "":
			if d.API.ID != o.API.ID {
				continue
			}
			pointer = "/id"
		case d.CrossID() != "" || o.CrossID() != "":
			if d.CrossID() != o.CrossID() {
				continue
			}
			pointer = "/crossId"
		case d.API.Name == o.API.Name && d.API.APIVersion == o.API.APIVersion && d.API.Name != "":
			pointer = "/name"
		default:
			continue
		}
		return apidef.Problem{
			Pointer: d.Origin(pointer), Severity: apidef.Error, Code: codeTwice,
			Message: "is the same API as in " + o.Label() + "; give it once, or tell the two apart by crossId",
		}, true
	}
	return apidef.Problem{}, false
}

func conflicts(d *Definition, before []*Definition) apidef.Problems {
	var out apidef.Problems
	for _, o := range before {
		for _, p := range apidef.PathConflicts(d.API, []*apidef.API{o.API}) {
			p.Pointer = d.Origin(p.Pointer)
			p.Message += " in " + o.Label()
			out = append(out, d.about(p))
		}
	}
	return out
}
