package kafka

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Attributes that policies set (spec 3.3, addenda 3.3-a), without the prefix "gravitee.attribute.", which is optional.
const (
	attributeRecordKey      = "kafka.recordKey"
	attributeAvroKey        = "avroKey" // also the header that tells of it
	attributeKafkaAvroKey   = "kafka.avroKey"
	attributeTopics         = "kafka.topics"
	attributeProducerTopics = "kafka.producer.topics"
	attributeConsumerTopics = "kafka.consumer.topics"
	attributeGroupID        = "kafka.groupId"

	attributePrefix         = "gravitee.attribute."
	attributeEndpointPrefix = "gravitee.attributes.endpoint."

	attributeReset = attributeEndpointPrefix + "kafka.consumer.autoOffsetReset" // addenda 3.2-d: overrides the configuration
)

// The names of the attribute that holds topics, per side, the most specific first.
var (
	producerTopics = [...]string{attributeEndpointPrefix + attributeProducerTopics, attributeProducerTopics, attributeTopics}
	consumerTopics = [...]string{attributeEndpointPrefix + attributeConsumerTopics, attributeConsumerTopics, attributeTopics}
)

// topics says where m goes: the message's attribute, the exchange's, the configuration's.
func (p *producer) topics(x *exchange.Exchange, m *message.Message) []string {
	if len(m.Attributes) > 0 {
		for _, name := range producerTopics {
			if v, ok := messageAttribute(m, name); ok {
				return distinct(list(v))
			}
		}
	}
	if v, ok := exchangeTopics(x, &producerTopics); ok {
		return distinct(list(v))
	}
	return p.e.set.outTopics
}

// exchangeTopics reads the topic attribute of the exchange for one side.
func exchangeTopics(x *exchange.Exchange, names *[3]string) (any, bool) {
	for _, name := range names {
		if v, ok := x.Attribute(name); ok {
			return v, true
		}
	}
	return nil, false
}

// recordKey says which key m gets, and whether it is an Avro key: the message's attributes, the exchange's, the id.
func recordKey(x *exchange.Exchange, m *message.Message) (key []byte, avro bool) {
	if len(m.Attributes) > 0 {
		for _, name := range [...]string{attributeKafkaAvroKey, attributeAvroKey} {
			if v, ok := messageAttribute(m, name); ok && v != nil {
				return raw(v), true
			}
		}
		if v, ok := messageAttribute(m, attributeRecordKey); ok && v != nil {
			return raw(v), false
		}
	}
	if v, ok := x.Attribute(attributeRecordKey); ok && v != nil {
		return raw(v), false
	}
	if len(m.Key) > 0 {
		return m.Key, false
	}
	if len(m.ID) > 0 {
		return m.ID, false
	}
	return nil, false
}

func messageAttribute(m *message.Message, name string) (any, bool) {
	if v, ok := m.Attributes[name]; ok {
		return v, true
	}
	if strings.HasPrefix(name, attributeEndpointPrefix) {
		return nil, false
	}
	v, ok := m.Attributes[attributePrefix+name]
	return v, ok
}

// raw is an attribute's value as bytes.
func raw(v any) []byte {
	switch v := v.(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return fmt.Append(nil, v)
}

// list reads an attribute that holds several values (addenda 3.3-b): text in brackets is a JSON array, other text is split
// at commas and trimmed, a list is itself, anything else is one value.
func list(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []string:
		return v
	case []any:
		out := make([]string, 0, len(v))
		for _, item := range v {
			out = append(out, fmt.Sprint(item))
		}
		return out
	case string:
		return listText(v)
	}
	return []string{fmt.Sprint(v)}
}

func listText(text string) []string {
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		var items []any
		if json.Unmarshal([]byte(text), &items) == nil {
			return list(items)
		}
	}
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
