package websocket

import (
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

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
