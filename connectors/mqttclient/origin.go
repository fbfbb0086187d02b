package mqttclient

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/sluice-gateway/sluice/qos/message"
)

// origin tells the metadata of messages that have the same properties (addenda 3.7-g).
type origin struct {
	qos           byte
	retain        bool // as published: true for a live message too
	contentType   string
	responseTopic string
	correlation   string // base64
	expiry        int64  // seconds; -1: none
}

// AppendMetadata implements message.Origin.
func (o *origin) AppendMetadata(dst []message.Field, m *message.Message) []message.Field {
	dst = append(dst,
		message.Field{Name: "topic", Text: m.Topic},
		message.Field{Name: "type", Text: "PUBLISH"},
		message.Field{Name: "qos", Int: int64(o.qos), IsInt: true},
		message.Field{Name: "retain", Text: strconv.FormatBool(o.retain)})
	if o.contentType != "" {
		dst = append(dst, message.Field{Name: "contentType", Text: o.contentType})
	}
	dst = append(dst, message.Field{Name: "messageExpiryInterval", Int: o.expiry, IsInt: true})
	if o.responseTopic != "" {
		dst = append(dst, message.Field{Name: "responseTopic", Text: o.responseTopic})
	}
	if o.correlation != "" {
		dst = append(dst, message.Field{Name: "correlationData", Text: o.correlation})
	}
	return append(dst, message.Field{Name: "sourceTimestamp", Int: m.Timestamp, IsInt: true})
}

// decoder makes messages of packets. Topics and origins repeat, so the last ones are kept. It is for one goroutine.
type decoder struct {
	topic  string
	origin *origin
}

// message describes p, and tells what that costs beside the message's own struct, in bytes.
func (d *decoder) message(p *packets.Publish, now time.Time) (m message.Message, bytes int) {
	if d.topic != p.Topic {
		d.topic = p.Topic
	}
	m.Topic, m.Timestamp, m.Offset = d.topic, now.UnixMilli(), -1
	if len(p.Payload) > 0 {
		m.Content = p.Payload[:len(p.Payload):len(p.Payload)]
	}
	bytes = cap(p.Payload) + len(p.Topic)
	if users := p.Properties.User; len(users) > 0 {
		m.Headers = make([]message.Header, len(users))
		for i, u := range users {
			m.Headers[i] = message.Header{Name: u.Key, Value: []byte(u.Value)}
			bytes += perHeader + len(u.Key) + len(u.Value)
		}
	}
	m.Origin = d.originOf(p)
	return m, bytes
}

func (d *decoder) originOf(p *packets.Publish) *origin {
	o := origin{qos: p.QoS, retain: p.Retain, contentType: p.Properties.ContentType,
		responseTopic: p.Properties.ResponseTopic, expiry: -1}
	if len(p.Properties.CorrelationData) > 0 {
		o.correlation = base64.StdEncoding.EncodeToString(p.Properties.CorrelationData)
	}
	if p.Properties.MessageExpiry != nil {
		o.expiry = int64(*p.Properties.MessageExpiry)
	}
	if d.origin == nil || *d.origin != o {
		d.origin = new(origin) // and not &o, which would be allocated for every message
		*d.origin = o
	}
	return d.origin
}

// expires is when a message that arrived at the given time is no longer valid; zero: never.
func expires(p *packets.Publish, now time.Time) time.Time {
	if p.Properties.MessageExpiry == nil {
		return time.Time{}
	}
	return now.Add(time.Duration(*p.Properties.MessageExpiry) * time.Second)
}
