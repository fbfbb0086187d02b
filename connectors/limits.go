package connectors

import (
	"cmp"
	"time"
)

// Limits bounds what one worker spends on clients. Every field has a default in DefaultLimits and a flag or setting.
type Limits struct {
	RequestTimeout  time.Duration // a publish or a GET must be answered within it (spec 10.1 http.requestTimeout)
	ProduceTimeout  time.Duration // a record that no broker took within it is given up, known not to be stored
	WriteTimeout    time.Duration // a client that takes no byte for so long is cut off
	MaxBody         int           // bytes of a request body
	MaxFrame        int           // bytes of a WebSocket message from a client (spec 2.4)
	ProducerBuffer  int           // bytes of records not yet acknowledged, per producer
	RingBytes       int           // bytes of recent messages kept per shared reader
	CatchUpReaders  int           // readers for subscribers that left the ring, per endpoint
	CatchUpBytes    int           // bytes a catch-up reader holds ahead of its subscriber
	CheckpointEvery time.Duration // how often delivered positions are saved under auto
	Drain           time.Duration // how long an old revision may take to end
}

// DefaultLimits are safe on a small machine.
var DefaultLimits = Limits{
	RequestTimeout:  30 * time.Second, // spec 10.1
	ProduceTimeout:  10 * time.Second,
	WriteTimeout:    30 * time.Second,
	MaxBody:         4 << 20,   // fasthttp's own default (DefaultMaxRequestBodySize, v1.74)
	MaxFrame:        256 << 10, // spec 2.4 maxWebSocketMessageSize
	ProducerBuffer:  64 << 20,
	RingBytes:       32 << 20,
	CatchUpReaders:  16,
	CatchUpBytes:    4 << 20,
	CheckpointEvery: 5 * time.Second,  // Kafka's auto.commit.interval.ms
	Drain:           10 * time.Second, // spec 10.2 api.pending_requests_timeout
}

// WithDefaults returns l with what is zero taken from DefaultLimits.
func (l Limits) WithDefaults() Limits {
	d := DefaultLimits
	return Limits{
		RequestTimeout:  cmp.Or(l.RequestTimeout, d.RequestTimeout),
		ProduceTimeout:  cmp.Or(l.ProduceTimeout, d.ProduceTimeout),
		WriteTimeout:    cmp.Or(l.WriteTimeout, d.WriteTimeout),
		MaxBody:         cmp.Or(l.MaxBody, d.MaxBody),
		MaxFrame:        cmp.Or(l.MaxFrame, d.MaxFrame),
		ProducerBuffer:  cmp.Or(l.ProducerBuffer, d.ProducerBuffer),
		RingBytes:       cmp.Or(l.RingBytes, d.RingBytes),
		CatchUpReaders:  cmp.Or(l.CatchUpReaders, d.CatchUpReaders),
		CatchUpBytes:    cmp.Or(l.CatchUpBytes, d.CatchUpBytes),
		CheckpointEvery: cmp.Or(l.CheckpointEvery, d.CheckpointEvery),
		Drain:           cmp.Or(l.Drain, d.Drain),
	}
}
