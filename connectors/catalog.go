package connectors

import "errors"

// ErrUnknownType is wrapped by what is returned for a type that no catalog entry has.
var ErrUnknownType = errors.New("unknown connector type")

// Names returns the types of the catalog in alphabetical order, for error texts.
func (c Entrypoints) Names() []string { return sortedKeys(c) }

// Names returns the types of the catalog in alphabetical order, for error texts.
func (c Endpoints) Names() []string { return sortedKeys(c) }
