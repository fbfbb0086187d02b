package mqttclient

import (
	"fmt"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Attributes that policies set (spec 3.7, 6.4), without the prefix "gravitee.attribute.", which is optional.
const (
	attributeTopic         = "mqtt5.topic"
	attributeResponseTopic = "mqtt5.responseTopic"

	attributePrefix         = "gravitee.attribute."
	attributeEndpointPrefix = "gravitee.attributes.endpoint."
)

// The names of the attributes per use, the most specific first.
var (
	producerTopic = [...]string{attributeEndpointPrefix + "mqtt5.producer.topic", attributeTopic}
	responseTopic = [...]string{attributeEndpointPrefix + "mqtt5.producer.responseTopic", attributeResponseTopic}
	consumerTopic = [...]string{attributeEndpointPrefix + "mqtt5.consumer.topic", attributeTopic}
)

// address says where and how m goes: the message's attributes, the exchange's, the configuration's.
func (p *publisher) address(x *exchange.Exchange, m *message.Message) (string, outgoing) {
	set := &p.e.set
	o := outgoing{topic: set.topic, responseTopic: set.responseTopic, retain: set.retained, expiry: set.expiry,
		headers: m.Headers, span: x.Span, payload: m.Content}
	if text, ok := attributeText(x, m, &producerTopic); ok {
		o.topic = text
	}
	if text, ok := attributeText(x, m, &responseTopic); ok {
		o.responseTopic = text
	}
	if x.QoS != qos.None {
		o.qos = set.produceQoS
	}
	o.contentType, _ = m.Header("Content-Type")
	return o.topic, o
}

// attributeText returns the first of the attributes that is set; m may be nil.
func attributeText(x *exchange.Exchange, m *message.Message, names *[2]string) (string, bool) {
	if m != nil && len(m.Attributes) > 0 {
		for _, name := range names {
			for _, spelling := range [...]string{name, attributePrefix + name} {
				if v, ok := m.Attributes[spelling]; ok && v != nil {
					return fmt.Sprint(v), true
				}
			}
		}
	}
	for _, name := range names {
		if v, ok := x.Attribute(name); ok && v != nil {
			return fmt.Sprint(v), true
		}
	}
	return "", false
}
