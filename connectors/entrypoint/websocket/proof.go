package websocket

import (
	"bytes"
	"math/rand/v2"
	"strconv"
)

// Proof of receipt for clients without a sub-protocol (at-least-once): each write ends with a ping that holds a number, and
// the pong that repeats it proves everything written before, since a client sees frames in their order. A client may answer
// only the newest of several pings (RFC 6455 section 5.5.3), which so proves what the others would have. What such a pong
// cannot say is that the application has the message: WebSocket libraries answer by themselves.

// proofPrefix begins the payload of such pings and pongs.
const proofPrefix = "proof "

// firstProof is where a connection's numbers begin: nowhere near what a client may send of its own accord, since such a pong
// proves nothing.
func firstProof() uint64 { return 1<<40 + uint64(rand.Uint32())<<20 }

// appendProof appends the ping that asks for proof of everything up to number.
func appendProof(dst []byte, number uint64) []byte {
	var b [20]byte
	return appendControl(dst, opPing, proofPrefix, strconv.AppendUint(b[:0], number, 10))
}

// hearProof takes a pong. One that answers no ping of ours proves nothing.
func (c *conn) hearProof(payload []byte) {
	digits, ours := bytes.CutPrefix(payload, []byte(proofPrefix))
	if !ours || c.framer.v1 {
		return
	}
	number, err := strconv.ParseUint(string(digits), 10, 64)
	if err == nil && c.window.through(number) {
		c.line.Wake()
	}
}
