package kafka

import "github.com/sluice-gateway/sluice/qos/message"

// origin tells the metadata of records (spec 3.4).
type origin struct{}

// AppendMetadata implements message.Origin.
func (*origin) AppendMetadata(dst []message.Field, m *message.Message) []message.Field {
	if m.Kind != message.Data {
		return dst
	}
	if m.Key != nil {
		dst = append(dst, message.Field{Name: "key", Text: string(m.Key)})
	}
	dst = append(dst,
		message.Field{Name: "topic", Text: m.Topic},
		message.Field{Name: "partition", Int: int64(m.Partition), IsInt: true},
		message.Field{Name: "offset", Int: m.Offset, IsInt: true})
	if m.Timestamp > 0 {
		dst = append(dst, message.Field{Name: "sourceTimestamp", Int: m.Timestamp, IsInt: true})
	}
	return dst
}
