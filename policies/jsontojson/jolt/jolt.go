// Package jolt transforms JSON documents as the Java library JOLT 0.1.8 does: the operations shift, default, remove, sort,
// cardinality, modify-default-beta, modify-overwrite-beta and modify-define-beta, with all stock functions. There is no Go library
// that does this correctly, so it is written here and held against the outputs of the Java library.
//
// Where JOLT leaves a mistake in a specification to be found while it works, or ignores it, such as a function that there is not,
// this package refuses the specification. Work is bounded: a specification or a document may not make it grow without end. A Chain is
// immutable and serves any number of goroutines. The package does no I/O and starts no goroutine.
package jolt

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// Limits.
const (
	maxSteps = 5_000_000 // parts of documents looked at in one transformation
	maxIndex = 100_000   // of an item that a specification or a document names
	maxSpec  = 100       // levels of a specification
	maxText  = 8 << 20   // bytes of a text that a function makes
)

// ErrLimit: a transformation went beyond a limit.
var ErrLimit = errors.New("the transformation does too much")

// root is the name that JOLT gives the whole document.
const root = "root"

// Chain is a list of operations.
type Chain struct{ operations []operation }

type operation interface {
	apply(r *run, input any) (any, error)
}

// run is one transformation.
type run struct {
	steps  int
	walked []step
	output *jsondoc.Object // of shift
}

// spend counts work.
func (r *run) spend(n int) error {
	if r.steps += n; r.steps > maxSteps {
		return fmt.Errorf("%w: more than %d steps", ErrLimit, maxSteps)
	}
	return nil
}

var kinds = map[string]func(spec *jsondoc.Object) (operation, error){
	"shift":                 newShift,
	"default":               newDefault,
	"remove":                newRemove,
	"cardinality":           newCardinality,
	"modify-default-beta":   func(s *jsondoc.Object) (operation, error) { return newModify(s, ifNull) },
	"modify-overwrite-beta": func(s *jsondoc.Object) (operation, error) { return newModify(s, always) },
	"modify-define-beta":    func(s *jsondoc.Object) (operation, error) { return newModify(s, ifAbsent) },
}

// Parse reads a specification: a list of objects with "operation" and "spec".
func Parse(text []byte) (*Chain, error) {
	doc, err := jsondoc.Parse(text)
	if err != nil {
		return nil, err
	}
	list, ok := doc.(*jsondoc.Array)
	if !ok || len(list.Items) == 0 {
		return nil, errors.New("must be a list of operations that is not empty: [{\"operation\": \"shift\", \"spec\": {...}}]")
	}
	c := &Chain{}
	for i, item := range list.Items {
		o, err := parseOperation(item)
		if err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
		c.operations = append(c.operations, o)
	}
	return c, nil
}

func parseOperation(item any) (operation, error) {
	o, ok := item.(*jsondoc.Object)
	if !ok {
		return nil, errors.New("must be an object with \"operation\" and \"spec\"")
	}
	v, _ := o.Get("operation")
	name, ok := v.(string)
	if !ok {
		return nil, errors.New("\"operation\" is missing")
	}
	if name == "sort" {
		return sorting{}, nil
	}
	make, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("%q is not an operation; there are shift, default, remove, sort, cardinality, modify-default-beta, modify-overwrite-beta and modify-define-beta", name)
	}
	v, _ = o.Get("spec")
	spec, ok := v.(*jsondoc.Object)
	if !ok {
		return nil, fmt.Errorf("%s needs a \"spec\" that is an object", name)
	}
	if depth(spec) > maxSpec {
		return nil, fmt.Errorf("the spec is more than %d levels deep", maxSpec)
	}
	out, err := make(spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

func depth(v any) int {
	deepest := 0
	if o, ok := v.(*jsondoc.Object); ok {
		for i := range o.Len() {
			deepest = max(deepest, depth(o.At(i).Value))
		}
	}
	return deepest + 1
}

// Transform returns what becomes of a document, which it may change and use parts of. Nil: nothing does.
func (c *Chain) Transform(doc any) (any, error) {
	r := &run{}
	for i, o := range c.operations {
		r.walked = r.walked[:0]
		var err error
		if doc, err = o.apply(r, doc); err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return doc, nil
}

// alternatives are the keys of a|b.
func alternatives(key string) []string {
	out := strings.Split(key, "|")
	for len(out) > 1 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// sorting is the operation sort: members by their names, those with a tilde first.
type sorting struct{}

func (sorting) apply(r *run, input any) (any, error) { return sorted(r, input, 0) }
