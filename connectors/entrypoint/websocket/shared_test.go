package websocket

import (
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

// viewed gives one view.
type viewed struct {
	connectors.Subscription
	view message.View
}

func (v *viewed) PollView(int) (message.View, error) {
	out := v.view
	v.view = message.View{}
	return out, nil
}

// A message is framed once for all clients of a form; each client's proof and bounds stay its own.
func TestFeed_FramesOnceForAll(t *testing.T) {
	t.Parallel()
	const total, clients = 10, 3
	run := make([]message.Message, total)
	for i := range run {
		run[i] = message.Message{Topic: "t", Offset: int64(i), Content: make([]byte, 200)}
	}
	for name, fr := range map[string]framer{"plain": {}, "compressed": {deflate: &deflate{window: 15}}} {
		var b message.Batch
		framed := 0
		for range clients {
			w := &window{counted: true, number: 1000}
			f := newFeed(&viewed{view: message.View{Batch: &b, Run: run, To: total}}, &fr, w, qos.AtLeastOnce)
			encode := f.encode
			f.encode = func(dst []byte, m *message.Message) []byte {
				framed++
				return encode(dst, m)
			}
			var o eventloop.Output
			if state, _ := f.fill(t.Context(), &o); state != feedIdle {
				t.Fatalf("%s: state %d", name, state)
			}
			want := 0
			for i := range run {
				want += len(fr.appendMessage(nil, &run[i], 0))
			}
			if number, any := w.seal(); o.Len() != want || w.messages != total || !any || number != 1001 {
				t.Errorf("%s: %d bytes of %d, %d messages unproved, proof %d", name, o.Len(), want, w.messages, number)
			}
			w.through(1001)
			if m := w.take(); m == nil || m.Offset != total-1 {
				t.Errorf("%s: proved %+v", name, m)
			}
		}
		if framed != total {
			t.Errorf("%s: %d frames made of %d messages", name, framed, total)
		}
	}
}
