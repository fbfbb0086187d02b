//go:build !race

package mqttclient

import (
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
)

// TestSession_Allocations takes a message from the packet to the answer to the broker. What a message costs is its share of
// a part of the backlog.
func TestSession_Allocations(t *testing.T) {
	for _, q := range []qos.Level{qos.AtLeastOnce, qos.AtMostOnce} {
		e, err := New([]byte(config("127.0.0.1:1", "t", "")), nil, connectors.Env{}, V5)
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(&e.sessions, ask{filter: "t", qos: 1, first: q == qos.AtMostOnce})
		m := &member{s: s, wake: func() {}}
		s.members[m] = struct{}{}
		s.up(true, false)
		const burst = 64
		var buf []byte
		n := testing.AllocsPerRun(200, func() {
			for i := range burst {
				s.absorb(packet(i))
			}
			s.show()
			for got := 0; got < burst; {
				view, err := m.Poll(burst)
				if err != nil {
					t.Fatal(err)
				}
				if got += len(view); len(view) > 0 {
					m.DeliveredThrough(&view[len(view)-1])
				} else {
					buf = s.collect(buf[:0], false)
					s.passFence()
				}
			}
			buf = s.collect(buf[:0], false)
		})
		if n/burst > 0.2 {
			t.Errorf("%s: %.2f allocations per message", q, n/burst)
		}
		if s.held != 0 || s.win.len() != 0 || s.order.len() != 0 {
			t.Errorf("%s: %d bytes, %d slots, %d receipts are left", q, s.held, s.win.len(), s.order.len())
		}
	}
}
