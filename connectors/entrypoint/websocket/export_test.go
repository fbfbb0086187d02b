package websocket

import "time"

// Impatient makes e give up on clients and brokers after d.
func Impatient(e *Entrypoint, d time.Duration) {
	e.times = times{write: d, pingEvery: d, pongWait: d, handshake: d, linger: d, settle: d}
}

// Pinging makes e ask a client that is silent for every, and give it wait to answer.
func Pinging(e *Entrypoint, every, wait time.Duration) {
	e.times.pingEvery, e.times.pongWait = every, wait
}

// AppendMessage is appendMessage.
var AppendMessage = appendMessage
