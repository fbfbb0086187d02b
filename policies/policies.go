// Package policies holds the contracts that policies fulfil and the catalog that names them. The policies themselves live
// in its subpackages, the flow engine that runs them in dataplane/flow; this package starts no goroutine.
//
// A policy is built once per step, when the API is deployed, and then used by any number of goroutines. What it
// implements says where it can run: RequestPolicy and ResponsePolicy once per exchange, MessagePolicy per message.
package policies

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"

	"github.com/sluice-gateway/sluice/policies/rates"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Phase is where in an API's work a step stands (spec 5.2).
type Phase uint8

// Phases, as bits.
const (
	Request   Phase = 1 << iota // once per exchange, before the backend
	Response                    // once per exchange, when the answer is known; of a stream before its first message
	Publish                     // per message, from client to endpoint
	Subscribe                   // per message, from endpoint to client
	Connect                     // per connection of a native API
	Interact                    // per request of a native API
)

// PerMessage are the phases in which a policy sees messages.
const PerMessage = Publish | Subscribe

var phaseNames = []struct {
	phase Phase
	name  string
}{{Request, "request"}, {Response, "response"}, {Publish, "publish"}, {Subscribe, "subscribe"},
	{Connect, "entrypointConnect"}, {Interact, "interact"}}

// String names the phases as definitions do, separated by commas.
func (p Phase) String() string {
	out := ""
	for _, n := range phaseNames {
		if p&n.phase != 0 {
			if out != "" {
				out += ", "
			}
			out += n.name
		}
	}
	return out
}

// What MessagePolicy.OnMessage returns beside a failure.
var (
	// ErrDrop: the message goes no further and is done with. A publisher is told that all is well; of a subscriber it
	// counts as received.
	ErrDrop = errors.New("the message is dropped")
	// ErrHold is ErrDrop, but for a subscriber the message is not done with: no checkpoint passes it.
	ErrHold = errors.New("the message is dropped and not acknowledged")
	// ErrEnd ends the stream without an error, as if the endpoint had nothing more (spec 5.6 interruptMessages). On publish it is
	// ErrDrop.
	ErrEnd = errors.New("the stream ends")
)

// ErrInterrupt, returned by OnRequest or OnResponse, ends the work on the exchange with the answer as it stands (spec 5.6
// interrupt).
var ErrInterrupt = errors.New("the exchange ends")

// ErrAnswered, returned by OnRequest, leaves out the rest of the request phase and the backend: the answer is there, and the response
// phase runs on it.
var ErrAnswered = errors.New("the exchange is answered")

// Env is what a step gets from its surroundings.
type Env struct {
	Log   *slog.Logger
	API   *exchange.API
	Phase Phase // the one that the step stands in
	// Resource finds an enabled resource of the API by its name: what its type built (package resource). Nil: there is none,
	// or it is disabled, or of a type that this worker has not. It outlives the policy. Where it is nil itself there are no resources.
	Resource func(name string) any
	// Dial opens connections outwards, under the rules of the worker; nil where nothing is run, as in tests of Compile alone.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Rates are the counters of rate limits. Nil: the worker has none.
	Rates rates.Counters
}

// RequestPolicy runs before the backend.
type RequestPolicy interface {
	// OnRequest reads and changes c.Exchange and its HTTP request. It may block, until ctx ends. An error ends the
	// exchange: ErrInterrupt, or a *message.Failure that the client is told of; others are a 500 without details (spec 5.7).
	OnRequest(ctx context.Context, c *Context) error
}

// ResponsePolicy runs when the answer is known. Of a stream that is its head: the body is its messages.
type ResponsePolicy interface {
	// OnResponse is OnRequest for c.Exchange.HTTP.Response. c.Streaming tells where there is no body.
	OnResponse(ctx context.Context, c *Context) error
}

// MessagePolicy runs for each message, one after the other in their order.
type MessagePolicy interface {
	// OnMessage keeps m (nil), having changed it or not, or returns ErrDrop, ErrHold, ErrEnd, a *message.Failure that ends
	// the stream or refuses the message, or another error, which is a failure without details.
	//
	// m is a copy that belongs to the step, but what it refers to is shared: bytes and headers are replaced, never written
	// into. c is the same for all messages of a connection.
	OnMessage(ctx context.Context, c *Context, m *message.Message) error
}

// Connector is a MessagePolicy that settles something per connection, before its first message.
type Connector interface {
	// Connect returns what runs for this connection. c has no message.
	Connect(c *Context) MessagePolicy
}

// Traits tell the engine how a step may be run on messages. What is not told is the safe side.
type Traits struct {
	// Shared: what becomes of a message depends on the message alone, so one run serves all subscribers.
	Shared bool
	// Filter: messages are kept or dropped, and never changed.
	Filter bool
	// Uses is what its expressions read: what of a request must be kept for the messages of a stream.
	Uses Uses
	// Blocks: it may wait for something (time, a callout). On subscribe it then runs beside the goroutine that polls.
	Blocks bool
}

// Traited is a MessagePolicy that tells its traits. They are asked for once, when the API is built.
type Traited interface{ Traits() Traits }

// Type is one entry of the catalog.
type Type struct {
	// ID is the plugin id that definitions name; Aliases are other spellings of it.
	ID      string
	Aliases []string
	Name    string // for people
	Phases  Phase  // those that it declares (policies.md 0.2)
	// Config points to a Config with its defaults, which its schema is made of; nil: it has none.
	Config any
	// Compile decodes and validates a configuration and builds the policy of one step: every problem at once, pointers
	// relative to the configuration. Where there is no error among them, the policy implements RequestPolicy, ResponsePolicy or
	// MessagePolicy as env.Phase needs. It must not start goroutines, dial or listen; one that holds something, such as
	// connections or the memory of another machine, implements io.Closer, and is closed when nothing runs it any more.
	Compile func(cfg json.RawMessage, env Env) (policy any, problems apidef.Problems)
}
