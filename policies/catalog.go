package policies

import (
	"maps"
	"slices"
	"strings"
)

// Catalog names the policies of a process by their ids.
type Catalog map[string]Type

// List makes a catalog.
func List(types ...Type) Catalog {
	c := make(Catalog, len(types))
	for _, t := range types {
		c[t.ID] = t
	}
	return c
}

// Find returns the type that a definition names, by its id or an alias, whatever the case.
func (c Catalog) Find(id string) (Type, bool) {
	if t, ok := c[id]; ok {
		return t, true
	}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		t := c[name]
		if strings.EqualFold(t.ID, id) || slices.ContainsFunc(t.Aliases, func(a string) bool { return strings.EqualFold(a, id) }) {
			return t, true
		}
	}
	return Type{}, false
}

// Names returns the ids of the catalog in alphabetical order, for error texts.
func (c Catalog) Names() []string { return slices.Sorted(maps.Keys(c)) }
