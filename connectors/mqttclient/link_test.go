package mqttclient

import (
	"bufio"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// TestLink_BusyIsNotQuiet reads from a broker that never pauses between two packets: each write ends the one and begins
// the next. The connection must not be taken for dead however long that goes on.
func TestLink_BusyIsNotQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, broker := net.Pipe()
		const quiet, every, n = time.Second, 100 * time.Millisecond, 50
		l := &link{version: V5, conn: client, in: bufio.NewReader(client), quiet: quiet, most: 1 << 10}
		done := make(chan struct{})
		go func() {
			defer close(done)
			pong := []byte{packets.PINGRESP << 4, 0}
			_, _ = broker.Write(pong[:1])
			for range n {
				time.Sleep(every) // fake time: how long the broker is busy
				if _, err := broker.Write([]byte{pong[1], pong[0]}); err != nil {
					return
				}
			}
		}()
		for i := range n {
			if _, err := l.read(); err != nil {
				t.Fatalf("packet %d: %v", i, err)
			}
		}
		broker.Close()
		client.Close()
		<-done
	})
}
