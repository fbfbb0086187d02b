//go:build e2e

package mqttclient

import (
	"context"
	"net"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/sluice-gateway/sluice/test/brokers"
)

// quick keeps Mosquitto from saving everything at every message, where nothing is killed.
var quick = brokers.MosquittoConfig{Lines: []string{"autosave_on_changes false", "max_inflight_messages 0"}}

// peer is somebody else at the broker: another implementation than ours.
type peer struct {
	t   testing.TB
	c   *paho.Client
	got chan *paho.Publish
}

func newPeer(t testing.TB, addr string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, got: make(chan *paho.Publish, 1<<16)}
	p.c = paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(r paho.PublishReceived) (bool, error) { p.got <- r.Packet; return true, nil }}})
	if _, err := p.c.Connect(context.Background(), &paho.Connect{ClientID: "peer" + randomText(), CleanStart: true, KeepAlive: 60}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.c.Disconnect(&paho.Disconnect{})
		<-p.c.Done()
	})
	return p
}

// hear has the peer receive what is published on a filter.
func (p *peer) hear(filter string) {
	p.t.Helper()
	if _, err := p.c.Subscribe(p.t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 2, RetainAsPublished: true}}}); err != nil {
		p.t.Fatal(err)
	}
}

// put publishes and waits until the broker has it.
func (p *peer) put(topic, payload string, qos byte, retain bool) {
	p.t.Helper()
	p.publish(&paho.Publish{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: retain})
}

func (p *peer) publish(m *paho.Publish) {
	p.t.Helper()
	if _, err := p.c.Publish(p.t.Context(), m); err != nil {
		p.t.Fatal(err)
	}
}
