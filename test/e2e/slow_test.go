//go:build e2e

package e2e

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
)

// TestSlow_WebSocketReaderIsBounded reads 100 KB/s from a topic that is filled at full speed with 400 MB: the worker's
// memory stays far below what the client has not read.
func TestSlow_WebSocketReaderIsBounded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	kafka := sharedKafka(t)
	for _, qos := range []string{"NONE", "AUTO"} {
		t.Run(qos, func(t *testing.T) {
			dev := startDev(t, "--no-samples")
			topic := kafka.Topic(t, 3)
			deploy(t, dev, apiOf(t, t.Name(), "/slow", kafka.Addr(), topic,
				entrypoint("websocket", qos, object{"publisher": object{"enabled": false}})))
			dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				if err == nil {
					err = conn.(*net.TCPConn).SetReadBuffer(64 << 10) // else the kernel reads ahead for us
				}
				return conn, err
			}}
			conn, _, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(dev.Gateway, "http")+"/slow", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			slow, stop := context.WithCancel(ctx)
			read := make(chan int)
			go func() { // 10 KB every 100 ms
				n, tick := 0, time.NewTicker(100*time.Millisecond)
				defer tick.Stop()
				defer func() { read <- n }()
				for {
					for range 10 {
						_, frame, err := conn.ReadMessage()
						if err != nil {
							return
						}
						n += len(frame)
					}
					select {
					case <-tick.C:
					case <-slow.Done():
						return
					}
				}
			}()
			const total = 400_000
			before := footprintOf(ctx, t, dev)
			most := before.heap
			filled := make(chan error, 1)
			go func() { filled <- fill(ctx, kafka.Addr(), topic, make([]byte, 1000), total) }()
			for done := false; !done; {
				select {
				case err := <-filled:
					if err != nil {
						t.Fatal(err)
					}
					done = true
				case <-time.After(500 * time.Millisecond):
				}
				most = max(most, footprintOf(ctx, t, dev).heap)
			}
			stop()
			conn.Close()
			n := <-read
			t.Logf("client read %d bytes of %d; live heap %.1f MiB at first, %.1f MiB at most", n, total*1000, before.heap/(1<<20), most/(1<<20))
			if n == 0 {
				t.Error("the slow client got nothing at all")
			}
			if most-before.heap > 128<<20 { // ring 32 MiB, one catch-up reader, kgo's fetch buffers
				t.Errorf("live heap grew by %.1f MiB", (most-before.heap)/(1<<20))
			}
		})
	}
}
