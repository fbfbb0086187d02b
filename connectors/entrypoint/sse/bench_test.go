package sse_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// One client drains a topic that never ends, 1 KiB per message; an operation is one message.
func BenchmarkDrain(b *testing.B) {
	m := message.Message{ID: []byte("dGVzdC10b3BpY0AwIzI="), Content: []byte(strings.Repeat("x", 1024))}
	sub := fake.Endless(m)
	s := fake.Serve(b, build(b, ""), &fake.Backend{OnSubscribe: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
		return sub, nil
	}})
	c := s.Dial()
	_, _ = io.WriteString(c, get+"\r\n")
	b.SetBytes(1024)
	b.ReportAllocs()
	b.ResetTimer()
	size := int64(len("id: dGVzdC10b3BpY0AwIzI=\nevent: message\ndata: \n\n") + 1024)
	if _, err := io.CopyBuffer(io.Discard, io.LimitReader(c, int64(b.N)*size), make([]byte, 64<<10)); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	_ = c.Close()
}

// What an idle stream costs in memory, the client's half in this process included.
func BenchmarkIdle(b *testing.B) {
	const streams = 2000
	s := fake.Serve(b, build(b, ""), &fake.Backend{OnSubscribe: func(_ context.Context, _ *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
		sub := fake.NewSubscription()
		sub.Open(o)
		return sub, nil
	}})
	for b.Loop() {
		before := memory()
		conns := make([]net.Conn, streams)
		for i := range conns {
			c, err := net.Dial("tcp", s.Addr)
			if err != nil {
				b.Fatal(err)
			}
			conns[i] = c
			_, _ = io.WriteString(c, get+"\r\n")
			_, _ = c.Read(make([]byte, 512))
		}
		b.ReportMetric(float64(memory()-before)/streams, "B/stream")
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
