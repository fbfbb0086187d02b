// Package httpfront is what the fasthttp entrypoints share: how a failure is answered, what a client accepts, how a
// subscription is pumped into a connection, what of it the client has got (Receipts), and who owns a connection that
// outlives its handler (Group). A stream runs in the worker's event loop; the one goroutine that starts here wakes the
// connections of a Group when the API ends, and Drain waits for it.
package httpfront

import (
	"context"
	"errors"

	"github.com/sluice-gateway/sluice/qos/message"
)

// batchMessages bounds one Poll; what does not fit the write waits, as a view of shared memory.
const batchMessages = 256

// StopReason tells why ctx, the one of the API, has ended.
func StopReason(ctx context.Context) message.Reason {
	if errors.Is(context.Cause(ctx), message.ErrRedeploy) {
		return message.ReasonRedeploy
	}
	return message.ReasonStop
}
