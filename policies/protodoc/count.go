package protodoc

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// counter counts the values that bytes would become: an empty message takes two bytes there, and a hundred times that in memory.
type counter struct {
	left     int
	types    protoregistry.MessageTypeResolver
	defaults bool // fields that are not there are written as well
}

var (
	errMany = fmt.Errorf("%w: more than %d values", jsondoc.ErrLimit, maxValues)
	errDeep = fmt.Errorf("%w: more than %d levels deep", jsondoc.ErrLimit, maxDepth)
)

func (c *counter) take(n int) error {
	if c.left -= n; c.left < 0 {
		return errMany
	}
	return nil
}

// message counts what is in a message. What is no Protobuf at all is an error.
func (c *counter) message(kind protoreflect.MessageDescriptor, data []byte, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	if c.defaults {
		if err := c.take(kind.Fields().Len()); err != nil {
			return err
		}
	}
	isAny := kind.FullName() == "google.protobuf.Any"
	var url string
	var value []byte
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return broken(kind)
		}
		data = data[n:]
		size := protowire.ConsumeFieldValue(number, wire, data)
		if size < 0 {
			return broken(kind)
		}
		if isAny && wire == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(data)
			switch number {
			case 1:
				url = string(content)
			case 2:
				value = content
			}
		}
		if err := c.field(kind.Fields().ByNumber(number), number, wire, data[:size], depth); err != nil {
			return err
		}
		data = data[size:]
	}
	if url == "" {
		return nil
	}
	t, err := c.types.FindMessageByURL(url)
	if err != nil {
		return fmt.Errorf("the type %q of an Any: %w", url, err)
	}
	return c.message(t.Descriptor(), value, depth+1)
}

func broken(kind protoreflect.MessageDescriptor) error {
	return errors.New("the content is no " + string(kind.FullName()) + ": it is not Protobuf, or ends early")
}

// field counts one field, of its tag's value.
func (c *counter) field(f protoreflect.FieldDescriptor, number protowire.Number, wire protowire.Type, value []byte, depth int) error {
	if err := c.take(1); err != nil || f == nil {
		return err
	}
	switch {
	case wire == protowire.StartGroupType && f.Message() != nil:
		in, n := protowire.ConsumeGroup(number, value)
		if n < 0 {
			return broken(f.ContainingMessage())
		}
		return c.message(f.Message(), in, depth+1)
	case wire != protowire.BytesType:
		return nil
	}
	in, _ := protowire.ConsumeBytes(value)
	switch {
	case f.Message() != nil:
		return c.message(f.Message(), in, depth+1)
	case f.IsList() && f.Kind() != protoreflect.StringKind && f.Kind() != protoreflect.BytesKind:
		return c.take(packed(f.Kind(), in))
	}
	return nil
}

// packed is how many numbers a packed list has.
func packed(kind protoreflect.Kind, in []byte) int {
	switch kind {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return len(in) / 4
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return len(in) / 8
	}
	n := 0
	for _, b := range in {
		if b < 0x80 {
			n++
		}
	}
	return n
}
