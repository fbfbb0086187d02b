// Package protodoc makes JSON of Protobuf's binary form and the other way round, by the text of a schema. Schemas are compiled by
// bufbuild/protocompile and messages read and written by Go's own Protobuf, in its JSON mapping (protojson). What is here puts bounds
// around them: on the size, the depth and the number of values of a message, which its bytes are looked through for before anything is made
// of them. It does no I/O, and starts no goroutine that outlives a call.
package protodoc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/policies/resource"
)

// Limits of a message.
const (
	maxBytes  = jsondoc.MaxSize
	maxDepth  = jsondoc.MaxDepth
	maxValues = 1_000_000
)

// Schema is a compiled .proto file. It is immutable.
type Schema struct {
	file  protoreflect.FileDescriptor
	types linker.Resolver // messages in Any, and extensions
}

// own is the name of the file itself, which none of its imports can have.
const own = "schema.proto"

// Parse compiles the text of a .proto file. Its imports are those of references, by their names, and google/protobuf/*.proto.
func Parse(text string, references ...resource.Reference) (*Schema, error) {
	files := map[string]string{own: text}
	for _, r := range references {
		if r.Name == own {
			return nil, fmt.Errorf("a reference must not be called %s", own)
		}
		files[r.Name] = r.Text
	}
	compiler := protocompile.Compiler{MaxParallelism: 1,
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(files)})}
	made, err := compiler.Compile(context.Background(), own)
	if err != nil {
		return nil, err
	}
	if made[0].Messages().Len() == 0 {
		return nil, errors.New("there is no message in it")
	}
	return &Schema{file: made[0], types: linker.ResolverFromFile(made[0])}, nil
}

// OfRegistry compiles a schema of a registry.
func OfRegistry(s *resource.Schema) (*Schema, error) { return Parse(s.Text, s.References...) }

// First is the index of the first message.
var First = []int{0}

// message finds a message by its place: in the file, in that message, and so on, as Confluent's wire format tells it. The entries of
// maps, which descriptors hold as messages, do not count: they do not for Confluent's Java serializer, whose places these are.
func (s *Schema) message(index []int) (protoreflect.MessageDescriptor, error) {
	in := s.file.Messages()
	var found protoreflect.MessageDescriptor
	for _, i := range index {
		if found = declared(in, i); found == nil {
			return nil, fmt.Errorf("the schema has no message at %v", slices.Clone(index))
		}
		in = found.Messages()
	}
	if found == nil {
		return nil, errors.New("no message is named")
	}
	return found, nil
}

// declared is the i-th message that is one in the text; nil: there is none.
func declared(in protoreflect.MessageDescriptors, i int) protoreflect.MessageDescriptor {
	for at := range in.Len() {
		m := in.Get(at)
		if m.IsMapEntry() {
			continue
		}
		if i == 0 {
			return m
		}
		i--
	}
	return nil
}
