package el

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/qos/message"
)

// attributes are those of the exchange. A name is looked for as it is and without the prefix gravitee.attribute. (spec 6.4).
type attributes Exchange

// Get implements Mapping.
func (a *attributes) Get(key string) (Value, bool) {
	x, ok := a.X.Attribute(key)
	switch {
	case ok:
		return Of(x), true
	case key == "clientIdentifier": // as documentation has it (addenda 6.2-e)
		return text(a.X.ClientIdentifier), a.X.ClientIdentifier != ""
	case key == "api.name" && a.X.API != nil:
		return text(a.X.API.Name), true
	}
	return Value{}, false
}

// Len implements Mapping.
func (a *attributes) Len() int {
	n := 0
	a.Each(func(string, Value) bool { n++; return true })
	return n
}

// Each implements Mapping.
func (a *attributes) Each(f func(key string, v Value) bool) {
	for _, name := range a.X.AttributeNames() {
		if v, ok := a.Get(name); ok && !f(name, v) {
			return
		}
	}
}

type dictionaries map[string]map[string]string

// Get implements Mapping.
func (d dictionaries) Get(key string) (Value, bool) {
	m, ok := d[key]
	if !ok {
		return Value{}, false
	}
	return OfMap(TextMap(m)), true
}

// Len implements Mapping.
func (d dictionaries) Len() int { return len(d) }

// Each implements Mapping.
func (d dictionaries) Each(f func(key string, v Value) bool) {
	for _, k := range slices.Sorted(maps.Keys(d)) {
		if !f(k, OfMap(TextMap(d[k]))) {
			return
		}
	}
}

// metadata is what the connector tells of a message, asked once per message.
type metadata Exchange

func (d *metadata) load() []message.Field {
	if !d.hasField {
		d.fields = d.message.Metadata(d.fields[:0])
		d.hasField = true
	}
	return d.fields
}

func fieldValue(f *message.Field) Value {
	if f.IsInt {
		return OfInt(f.Int)
	}
	return OfText(f.Text)
}

// Get implements Mapping.
func (d *metadata) Get(key string) (Value, bool) {
	fields := d.load()
	for i := range fields {
		if fields[i].Name == key {
			return fieldValue(&fields[i]), true
		}
	}
	return Value{}, false
}

// Len implements Mapping.
func (d *metadata) Len() int { return len(d.load()) }

// Each implements Mapping.
func (d *metadata) Each(f func(key string, v Value) bool) {
	fields := d.load()
	for i := range fields {
		if !f(fields[i].Name, fieldValue(&fields[i])) {
			return
		}
	}
}

// messageHeaders are compared without case.
type messageHeaders message.Message

// At implements Names.
func (h *messageHeaders) At(name string, i int) (string, bool) {
	for k := range h.Headers {
		if strings.EqualFold(h.Headers[k].Name, name) {
			if i == 0 {
				return viewString(h.Headers[k].Value), true
			}
			i--
		}
	}
	return "", false
}

// Count implements Names.
func (h *messageHeaders) Count(name string) int {
	n := 0
	for k := range h.Headers {
		if strings.EqualFold(h.Headers[k].Name, name) {
			n++
		}
	}
	return n
}

// Each implements Names.
func (h *messageHeaders) Each(f func(name string) bool) {
	for k := range h.Headers {
		earlier := slices.ContainsFunc(h.Headers[:k], func(o message.Header) bool { return strings.EqualFold(o.Name, h.Headers[k].Name) })
		if !earlier && !f(h.Headers[k].Name) {
			return
		}
	}
}

// Member implements Members.
func (s *messageVar) Member(name string) (Value, bool) {
	m := s.message
	switch name {
	case "id":
		return bytesText(m.ID), true
	case "error":
		return OfBool(m.Kind != message.Data), true
	case "headers":
		return OfNames((*messageHeaders)(m)), true
	case "metadata":
		return ViewMap((*metadata)(s)), true
	case "attributes":
		return ViewMap(AnyMap(m.Attributes)), true
	case "content":
		return bytesText(m.Content), true
	case "contentLength":
		return OfInt(int64(len(m.Content))), true
	case "jsonContent":
		return (*Exchange)(s).jsonMap(m.Content), true
	case "xmlContent":
		return (*Exchange)(s).xmlMap(m.Content), true
	}
	return s.place(name)
}

// place is what says where a message lies.
func (s *messageVar) place(name string) (Value, bool) {
	m := s.message
	switch name {
	case "timestamp":
		if m.Timestamp == 0 {
			return Value{}, true
		}
		return OfLong(m.Timestamp), true
	case "topic":
		return text(m.Topic), true
	case "key":
		return bytesText(m.Key), true
	case "partition":
		return OfInt(int64(m.Partition)), true
	case "offset":
		return OfLong(m.Offset), true
	}
	return Value{}, false
}

// bytesText is null where there is nothing, not even an empty text.
func bytesText(b []byte) Value {
	if b == nil {
		return Value{}
	}
	return ViewText(b)
}

// jsonMap is a body as a map; one that is no JSON object is an empty map, never an error (addenda 6.2-d).
func (s *Exchange) jsonMap(body []byte) Value {
	v, err := s.docs.JSON(viewString(body))
	if err != nil || v.kind != Map {
		return OfMap(new(Dict))
	}
	return v
}

// xmlMap is a body as a map; one that is no XML is an empty map.
func (s *Exchange) xmlMap(body []byte) Value {
	doc, err := s.docs.XML(viewString(body))
	if err != nil {
		return OfMap(new(Dict))
	}
	return xmlMap(doc)
}
