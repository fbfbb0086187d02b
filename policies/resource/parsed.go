package resource

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// maxParsed bounds how many schemas of a registry a step keeps parsed.
const maxParsed = 100

// Parsed keeps what the schemas of a registry are once they are parsed, by their ids: one of an id never changes. When it has 100 it
// begins anew. Errors are not kept. Its methods may be called by any number of goroutines.
type Parsed[T any] struct {
	// Registry is asked; nil: there is none, which is an error when a schema is wanted.
	Registry SchemaRegistry
	// Kind is Avro, JSON or Protobuf: what a schema must be.
	Kind string
	// Parse reads a schema.
	Parse func(s *Schema) (T, error)

	mu    sync.Mutex
	known map[int]T // guarded by mu
}

var errNoRegistry = errors.New("there is no schema registry")

// ByID returns the parsed schema of an id.
func (p *Parsed[T]) ByID(ctx context.Context, id int) (T, error) {
	p.mu.Lock()
	known, ok := p.known[id]
	p.mu.Unlock()
	if ok {
		return known, nil
	}
	var none T
	if p.Registry == nil {
		return none, errNoRegistry
	}
	s, err := p.Registry.ByID(ctx, id)
	if err != nil {
		return none, err
	}
	if s.Kind != p.Kind {
		return none, fmt.Errorf("the schema with id %d is %s, not %s", id, s.Kind, p.Kind)
	}
	parsed, err := p.Parse(s)
	if err != nil {
		return none, fmt.Errorf("the schema with id %d: %w", id, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= maxParsed {
		p.known = make(map[int]T)
	}
	p.known[id] = parsed
	return parsed, nil
}

// Registry finds the schema registry that a step names; find is that of the step's surroundings. Where that is nil, definitions are only
// checked, and there is none without an error.
func Registry(find func(name string) any, name string) (SchemaRegistry, error) {
	switch {
	case name == "":
		return nil, errors.New("is required with schema-registry")
	case find == nil:
		return nil, nil
	}
	r, ok := find(name).(SchemaRegistry)
	if !ok {
		return nil, fmt.Errorf("%q is no schema registry among the enabled resources of the API", name)
	}
	return r, nil
}
