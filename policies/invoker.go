package policies

import (
	"context"

	"github.com/sluice-gateway/sluice/qos/message"
)

// Invoker stands around what an exchange publishes (policies.md 6: retry, circuit breaker, shadowing). A RequestPolicy adds itself with
// Context.Wrap; those of several steps nest in their order, the last added outermost.
type Invoker interface {
	// Invoke publishes m by next, once, several times or not at all, and returns what the publisher is told. m belongs to the
	// caller throughout, and next copies it. It may block until ctx ends: the messages of a connection are then published one after the
	// other. Goroutines that it starts end before it returns.
	Invoke(ctx context.Context, c *Context, m *message.Message, next Next) error
}

// Next is what an invoker stands around.
type Next interface {
	// Publish publishes a copy of m as the exchange has it, through the invokers within, and waits for the outcome. On success m
	// has the place where it lies.
	Publish(ctx context.Context, m *message.Message) error
	// Elsewhere publishes a copy of m to the endpoint or group of that name, through no other invoker, and waits. It may run
	// beside Publish. Its failure is message.KeyNoEndpoint where the API has none of that name that publishes.
	Elsewhere(ctx context.Context, m *message.Message, name string) error
}

// Wrap has i stand around what the exchange publishes.
func (c *Context) Wrap(i Invoker) { c.invokers = append(c.invokers, i) }

// Invokers are those that were added, the innermost first.
func (c *Context) Invokers() []Invoker { return c.invokers }
