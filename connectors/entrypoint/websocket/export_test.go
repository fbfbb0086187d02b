package websocket

import "time"

// Impatient makes e give up on clients and brokers after d.
func Impatient(e *Entrypoint, d time.Duration) {
	e.times = times{write: d, pingEvery: d, pongWait: d, handshake: d, linger: d, settle: d}
}

// AppendMessage is appendMessage.
var AppendMessage = appendMessage
