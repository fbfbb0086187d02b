package connectors

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sluice-gateway/sluice/qos/exchange"
)

// Dispatcher is an Entrypoint that serves subscriptions instead of requests (spec 7.5): its type has a CheckSubscription and
// belongs to a subscription listener; its Match never says yes. Found once, when the API is built.
type Dispatcher interface {
	// Dispatch delivers what d gets, until ctx ends, d.Until is reached (nil), or nothing more can be delivered: then the
	// error is a *message.Failure, and its Retry tells whether trying again later could help. Where it could not, the
	// subscription has failed and rests until it changes. One goroutine per subscription calls it; it waits for the
	// goroutines that it starts. x has the subscription's id as its supplied client identifier; that of a replay counts as not
	// supplied, so that nothing is saved under it and no session or group of the live delivery is touched.
	// When ctx ends, or a GoAway comes, it takes no more messages, finishes what is under way within Limits.Drain, and
	// returns; what it returns then does not count.
	Dispatch(ctx context.Context, x *exchange.Exchange, d *Dispatch, b Backend) error
}

// Dispatch is one run of a subscription on one worker.
type Dispatch struct {
	ID, Application, Plan string
	Metadata              map[string]string
	Channel               string          // narrows the API's channel; empty: all of it
	Configuration         json.RawMessage // of the subscription, checked (entrypointConfiguration)
	// Instance is SubscribeOptions.Instance.
	Instance string
	// From and Until are SubscribeOptions.Cursor and Until of a replay, which runs beside the live delivery and saves nothing;
	// both empty: live delivery.
	From, Until string
	// Attempted is told of every attempt to deliver, from any goroutine; it does not block. Never nil.
	Attempted func(Attempt)
	// Rests is told, from any goroutine, whether delivery rests (open circuit) and why; text empty: it goes on. Never nil.
	Rests func(text string)
}

// Attempt is one try to deliver a message or a batch to a subscriber.
type Attempt struct {
	At       time.Time
	Took     time.Duration
	Message  string    // its id, or topic, partition and offset
	Number   int       // 1 is the first try
	Status   int       // of the answer; 0: there was none
	Err      string    // why it failed; empty: it did not
	Next     time.Time // when it is tried again; zero: it is not
	Outcome  Outcome
	Messages int // more than 1: a batch
	Bytes    int // of the request's body
}

// Outcome is what an attempt led to.
type Outcome uint8

// Outcomes.
const (
	Delivered    Outcome = iota // the subscriber has it
	Retried                     // it will be tried again
	DeadLettered                // it went to the dead-letter endpoint
	GivenUp                     // it was not delivered, and the subscription fails or passes it over as its level says
)

// String returns the outcome as JSON and logs spell it.
func (o Outcome) String() string {
	return [...]string{"delivered", "retried", "dead-lettered", "given-up"}[o]
}
