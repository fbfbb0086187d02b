package websocket

import (
	"context"
	"net"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// ServePipe serves one end of a pipe as a connection whose handshake is done, but for a last line end, and returns the other
// end. done is closed when everything about it has ended. sub nil: the client does not subscribe.
func ServePipe(ctx context.Context, e *Entrypoint, x *exchange.Exchange, b connectors.Backend, sub connectors.Subscription) (client net.Conn, done <-chan struct{}) {
	client, server := net.Pipe()
	c := newConn(ctx, e, x, b)
	c.head = []byte("\n") // the end of the handshake's answer
	if sub != nil {
		_, err := b.Subscribe(ctx, x, connectors.SubscribeOptions{Wake: c.line.Wake})
		if err != nil {
			panic(err)
		}
		c.subscribe(sub)
	}
	c.member = e.Enter(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.serve(server)
		e.Drain(context.WithoutCancel(ctx))
	}()
	return client, ended
}

// Impatient makes e give up on clients and brokers after d.
func Impatient(e *Entrypoint, d time.Duration) {
	e.times = times{write: d, pingEvery: d, pongWait: d, handshake: d, linger: d, settle: d, proof: d, farewell: d}
}

// Proving makes e give clients so long to prove what they were sent, and, when the API stops, so long in all.
func Proving(e *Entrypoint, proof, farewell time.Duration) {
	e.times.proof, e.times.farewell = proof, farewell
}

// MaxUnproven and MaxUnprovenBytes bound what a client may have been sent and not proved.
const (
	MaxUnproven      = maxUnproven
	MaxUnprovenBytes = maxUnprovenBytes
)

// Pinging makes e ask a client that is silent for every, and give it wait to answer.
func Pinging(e *Entrypoint, every, wait time.Duration) {
	e.times.pingEvery, e.times.pongWait = every, wait
}

// AppendMessage frames m for a client without sub-protocol.
func AppendMessage(dst []byte, m *message.Message) []byte {
	f := framer{}
	return f.appendMessage(dst, m, 0)
}
