// Package resource holds the contracts of the resources that an API's policies share: caches, schema registries, providers
// of identities. A definition names them under "resources" (policies.md 11), the flow engine builds those that are enabled
// once per revision, and a step finds one by its name through policies.Env. The types themselves live in subpackages; this
// package starts no goroutine.
package resource

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// ErrUnknown: the resource answered, and does not know what was asked for.
var ErrUnknown = errors.New("not known")

// Cache keeps values by key for a time (policies.md 11.3, 11.4).
type Cache interface {
	// Get returns a value that nobody changes; ok false: there is none. An error is that of a cache elsewhere that cannot be
	// asked: who can do without takes it as a miss.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Put keeps value, which it must not change later. life bounds how long; 0: as long as the resource says.
	Put(ctx context.Context, key string, value []byte, life time.Duration) error
	// Evict forgets a key.
	Evict(ctx context.Context, key string) error
}

// Schema kinds, as registries name them.
const (
	Avro     = "AVRO"
	JSON     = "JSON"
	Protobuf = "PROTOBUF"
)

// Schema is one version of a schema in a registry.
type Schema struct {
	ID      int
	Subject string // empty where it was asked for by id
	Version int    // 0 where it was asked for by id
	Kind    string // Avro, JSON or Protobuf
	Text    string
	// References are what Text refers to, resolved, before what refers to them.
	References []Reference
}

// Reference is a schema that another one imports under a name.
type Reference struct {
	Name string
	Schema
}

// SchemaRegistry is a registry in the manner of Confluent's (policies.md 11.5). What it finds is kept; what it does not find and
// errors never are. Missing schemas give an error that is ErrUnknown.
type SchemaRegistry interface {
	ByID(ctx context.Context, id int) (*Schema, error)
	// BySubject returns a version of a subject; 0: the latest, kept for a short while only.
	BySubject(ctx context.Context, subject string, version int) (*Schema, error)
	// Find returns the schema that a subject has with the given text, for writers that name it by its id.
	Find(ctx context.Context, subject, kind, text string) (*Schema, error)
}

// Identity is who a provider of identities knows.
type Identity struct {
	Name       string
	Roles      []string
	Attributes map[string]string
}

// AuthProvider checks names and passwords (policies.md 11.6).
type AuthProvider interface {
	// Authenticate returns who it is. A wrong name or password is ErrUnknown, without saying which; other errors say that
	// the provider cannot tell.
	Authenticate(ctx context.Context, name, password string) (*Identity, error)
}

// Env is what a resource gets from its surroundings.
type Env struct {
	Log *slog.Logger
	API *exchange.API
	// Dial opens connections outwards, under the rules of the worker.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Type is a kind of resource.
type Type struct {
	// ID is the type that definitions name; Aliases are other spellings of it.
	ID      string
	Aliases []string
	Name    string // for people
	// Config points to a Config with its defaults, which its schema is made of.
	Config any
	// Compile decodes and validates a configuration and builds the resource: every problem at once, pointers relative to
	// the configuration, whose texts have their expressions replaced: what they may read is the same for all exchanges (the API's
	// properties, the environment's dictionaries, the worker). It must not start goroutines, dial or listen; what connects later implements io.Closer, and is
	// closed when nothing uses it any more.
	Compile func(cfg json.RawMessage, env Env) (resource any, problems apidef.Problems)
}

// Catalog are the types of resources by their ids.
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
	for _, name := range c.Names() {
		t := c[name]
		if strings.EqualFold(t.ID, id) || slices.ContainsFunc(t.Aliases, func(a string) bool { return strings.EqualFold(a, id) }) {
			return t, true
		}
	}
	return Type{}, false
}

// Names returns the ids of the catalog in alphabetical order, for error texts.
func (c Catalog) Names() []string { return slices.Sorted(maps.Keys(c)) }
