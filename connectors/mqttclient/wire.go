package mqttclient

import (
	"bytes"
	"fmt"
	"io"

	"github.com/eclipse/paho.golang/packets"
	old "github.com/eclipse/paho.mqtt.golang/packets"
)

// Version is a version of MQTT, as a CONNECT spells it.
type Version byte

// Versions. Everything in this package speaks in the packets of MQTT 5; those of 3.1.1 are translated here.
const (
	V311 Version = 4
	V5   Version = 5
)

// Packets of which a refusal tells.
const (
	packetConnect   = "CONNECT"
	packetSubscribe = "SUBSCRIBE"
	packetPublish   = "PUBLISH"
	packetAny       = "the connection"
)

// encode makes the bytes of a CONNECT or a SUBSCRIBE.
func (v Version) encode(p *packets.ControlPacket) ([]byte, error) {
	var b bytes.Buffer
	if v == V5 {
		_, err := p.WriteTo(&b)
		return b.Bytes(), err
	}
	var err error
	switch c := p.Content.(type) {
	case *packets.Connect:
		o := old.NewControlPacket(old.Connect).(*old.ConnectPacket)
		o.ProtocolName, o.ProtocolVersion, o.Keepalive = "MQTT", byte(v), c.KeepAlive
		o.ClientIdentifier, o.CleanSession = c.ClientID, c.CleanStart
		o.UsernameFlag, o.Username, o.PasswordFlag, o.Password = c.UsernameFlag, c.Username, c.PasswordFlag, c.Password
		err = o.Write(&b)
	case *packets.Subscribe:
		o := old.NewControlPacket(old.Subscribe).(*old.SubscribePacket)
		o.MessageID = c.PacketID
		for _, s := range c.Subscriptions {
			o.Topics, o.Qoss = append(o.Topics, s.Topic), append(o.Qoss, s.QoS)
		}
		err = o.Write(&b)
	default:
		err = fmt.Errorf("packet type %d is not for MQTT 3.1.1", p.Type)
	}
	return b.Bytes(), err
}

// decode reads one packet.
func (v Version) decode(r io.Reader) (*packets.ControlPacket, error) {
	if v == V5 {
		return packets.ReadPacket(r)
	}
	p, err := old.ReadPacket(r)
	if err != nil {
		return nil, err
	}
	out := &packets.ControlPacket{}
	switch c := p.(type) {
	case *old.ConnackPacket:
		out.Type = packets.CONNACK
		out.Content = &packets.Connack{SessionPresent: c.SessionPresent, ReasonCode: reasonOf(c.ReturnCode), Properties: nothing}
	case *old.PublishPacket:
		out.Type = packets.PUBLISH
		out.Content = &packets.Publish{Topic: c.TopicName, Payload: c.Payload, PacketID: c.MessageID,
			QoS: c.Qos, Duplicate: c.Dup, Retain: c.Retain, Properties: nothing}
	case *old.PubackPacket:
		out.Type, out.Content = packets.PUBACK, &packets.Puback{PacketID: c.MessageID, Properties: nothing}
	case *old.PubrecPacket:
		out.Type, out.Content = packets.PUBREC, &packets.Pubrec{PacketID: c.MessageID, Properties: nothing}
	case *old.PubrelPacket:
		out.Type, out.Content = packets.PUBREL, &packets.Pubrel{PacketID: c.MessageID, Properties: nothing}
	case *old.PubcompPacket:
		out.Type, out.Content = packets.PUBCOMP, &packets.Pubcomp{PacketID: c.MessageID, Properties: nothing}
	case *old.SubackPacket:
		out.Type, out.Content = packets.SUBACK, &packets.Suback{PacketID: c.MessageID, Reasons: c.ReturnCodes, Properties: nothing}
	case *old.PingrespPacket:
		out.Type, out.Content = packets.PINGRESP, &packets.Pingresp{}
	default:
		return nil, fmt.Errorf("broker sends %T, which is for clients to send", p)
	}
	return out, nil
}

// nothing are the properties of a packet of MQTT 3.1.1. They are only read.
var nothing = &packets.Properties{}

// reasonOf translates a CONNACK's return code (MQTT 3.1.1, 3.2.2.3).
func reasonOf(code byte) byte {
	switch code {
	case old.Accepted:
		return packets.ConnackSuccess
	case old.ErrRefusedBadProtocolVersion:
		return packets.ConnackUnsupportedProtocolVersion
	case old.ErrRefusedIDRejected:
		return packets.ConnackInvalidClientID
	case old.ErrRefusedServerUnavailable:
		return packets.ConnackServerUnavailable
	case old.ErrRefusedBadUsernameOrPassword:
		return packets.ConnackBadUsernameOrPassword
	case old.ErrRefusedNotAuthorised:
		return packets.ConnackNotAuthorized
	}
	return packets.ConnackUnspecifiedError
}

// appendAck appends the answer to a message of QoS 1 or 2, and appendRel and appendComp the packets that follow it under
// QoS 2. Without a reason code they are the same in both versions (MQTT 5, 3.4.2.1).
func appendAck(dst []byte, qos byte, id uint16) []byte {
	kind := packets.PUBACK
	if qos == 2 {
		kind = packets.PUBREC
	}
	return append(dst, byte(kind)<<4, 2, byte(id>>8), byte(id))
}

func appendRel(dst []byte, id uint16) []byte {
	return append(dst, packets.PUBREL<<4|2, 2, byte(id>>8), byte(id))
}

func appendComp(dst []byte, id uint16) []byte {
	return append(dst, packets.PUBCOMP<<4, 2, byte(id>>8), byte(id))
}
