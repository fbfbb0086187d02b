package rest

import (
	"encoding/json"

	"github.com/sluice-gateway/sluice/proto/management"
)

// Item is one object of an answer: what the client reads of it, and all of it as the server wrote it, which is what
// -o json prints.
type Item[T any] struct {
	Value T
	Raw   json.RawMessage
}

// UnmarshalJSON keeps the text beside the value.
func (i *Item[T]) UnmarshalJSON(data []byte) error {
	i.Raw = append(json.RawMessage(nil), data...)
	return json.Unmarshal(data, &i.Value)
}

// MarshalJSON gives back what the server wrote.
func (i Item[T]) MarshalJSON() ([]byte, error) { return i.Raw, nil }

// list is a page of a list, or all of one where the path does not page (spec 8.1, 8.3).
type list[T any] struct {
	management.Page[Item[T]]
}

func (l *list[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, &l.Data)
	}
	return json.Unmarshal(data, &l.Page)
}
