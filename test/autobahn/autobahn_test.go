//go:build autobahn

// Package autobahn runs the Autobahn WebSocket suite against the websocket entrypoint over an endpoint that echoes in
// memory. AUTOBAHN_RUN names the script that runs the suite; AUTOBAHN_CASES may choose some.
package autobahn

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/websocket"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

func TestWebSocket(t *testing.T) {
	env := fake.Env()
	env.Loop = fake.Loop(t, 2)
	env.Limits.MaxFrame = 16 << 20                                           // cases 9.1.6 and 9.2.6
	e, err := websocket.New([]byte(`{"compression":{"enabled":true}}`), env) // cases 12 and 13
	if err != nil {
		t.Fatal(err)
	}
	s := fake.Serve(t, e, echo())
	args := []string{os.Getenv("AUTOBAHN_RUN"), "ws://" + s.Addr + "/", outDir(t)}
	if cases := os.Getenv("AUTOBAHN_CASES"); cases != "" {
		args = append(args, cases)
	}
	out, err := exec.Command("bash", args...).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// echo gives each connection what it publishes.
func echo() *fake.Backend {
	var subs sync.Map
	return &fake.Backend{
		OnSubscribe: func(_ context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
			sub := fake.NewSubscription()
			sub.Open(o)
			subs.Store(x, sub)
			return sub, nil
		},
		OnPublish: func(_ context.Context, x *exchange.Exchange, m *message.Message) {
			out := message.Message{Content: append([]byte{}, m.Content...)}
			for _, h := range m.Headers {
				out.Headers = append(out.Headers, message.Header{Name: h.Name, Value: append([]byte{}, h.Value...)})
			}
			m.Done(nil)
			sub, _ := subs.Load(x)
			sub.(*fake.Subscription).Push(out)
		},
	}
}

// outDir is where the reports go: AUTOBAHN_OUT, to keep them.
func outDir(t *testing.T) string {
	if dir := os.Getenv("AUTOBAHN_OUT"); dir != "" {
		return dir
	}
	return t.TempDir()
}
