package websocket_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// What an idle connection costs in memory, the client's half in this process included.
func BenchmarkIdle(b *testing.B) {
	const conns = 2000
	s := fake.ServeLevel(b, build(b, ""), &fake.Backend{OnSubscribe: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
		return silent{}, nil
	}}, qos.AtLeastOnce)
	for b.Loop() {
		before := memory()
		clients := make([]net.Conn, conns)
		answer := make([]byte, 512)
		for i := range clients {
			c, err := net.Dial("tcp", s.Addr)
			if err != nil {
				b.Fatal(err)
			}
			clients[i] = c
			_, _ = io.WriteString(c, upgrade+"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
			_, _ = c.Read(answer)
		}
		b.ReportMetric(float64(memory()-before)/conns, "B/connection")
		for _, c := range clients {
			_ = c.Close()
		}
	}
}

// silent is a subscription that costs nothing.
type silent struct{}

func (silent) Poll(int) ([]message.Message, error) { return nil, nil }
func (silent) DeliveredThrough(*message.Message)   {}
func (silent) Acknowledge(*message.Message)        {}
func (silent) AppendCursor(dst []byte) []byte      { return dst }
func (silent) Close(context.Context)               {}

func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
