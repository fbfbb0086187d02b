package websocket_test

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// One client drains a topic that never ends, 1 KiB per message; an operation is one message.
func BenchmarkDrain(b *testing.B) {
	sub := fake.Endless(message.Message{Content: []byte(strings.Repeat("x", 1024))})
	s := fake.Serve(b, build(b, ""), &fake.Backend{OnSubscribe: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
		return sub, nil
	}})
	c := dialRaw(b, s)
	r := bufio.NewReaderSize(c.r, 64<<10)
	b.SetBytes(1024)
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := io.CopyN(io.Discard, r, int64(b.N)*(1024+4)); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	_ = c.Close()
}
