package mqttclient

import "github.com/eclipse/paho.golang/packets"

// received is a message as the broker sends it, of QoS 1 where it has an identifier.
func received(topic string, id uint16) *packets.Publish {
	p := &packets.Publish{Topic: topic, PacketID: id, Payload: []byte("payload"), Properties: &packets.Properties{}}
	if id != 0 {
		p.QoS = 1
	}
	return p
}

var packetsOfBurst = func() (all [64]*packets.Publish) {
	for i := range all {
		all[i] = received("t", uint16(i+1))
	}
	return all
}()

func packet(i int) *packets.Publish { return packetsOfBurst[i] }
