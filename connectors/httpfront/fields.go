package httpfront

import (
	"sync"

	"github.com/sluice-gateway/sluice/qos/message"
)

// fields holds the room for a message's metadata, which an interface call would otherwise send to the heap each time.
var fields = sync.Pool{New: func() any { f := make([]message.Field, 0, 8); return &f }}

// GetFields returns the metadata of m. The caller gives it back with PutFields.
func GetFields(m *message.Message) *[]message.Field {
	f := fields.Get().(*[]message.Field)
	*f = m.Metadata((*f)[:0])
	return f
}

// PutFields takes f back; it must not be used afterwards.
func PutFields(f *[]message.Field) {
	clear(*f)
	fields.Put(f)
}
