package fsm

import (
	"errors"

	"github.com/sluice-gateway/sluice/proto/command"
)

const (
	// rememberMS is how long a request id is remembered, in milliseconds of the leader's clock. A node retries a
	// forwarded command only while its caller waits, which the management API bounds to 60 s (controlplane/rest).
	rememberMS = 5 * 60 * 1000
	// rememberMax bounds the remembered ids. A node commits some thousand entries a second at most, each behind an
	// fsync, so the time bound is met first except under a flood.
	rememberMax = 1 << 16
	// maxRequestID bounds a request id, in bytes; a longer one is not remembered.
	maxRequestID = 128
)

// request is an applied request id and its answer.
type request struct {
	id     string
	atMS   int64
	result *command.Result
}

// requests remembers the latest request ids. queue is only appended to and cut at the front, so that a snapshot
// may keep the slice it saw.
type requests struct {
	queue []request
	byID  map[string]*command.Result
}

func newRequests() requests { return requests{byID: map[string]*command.Result{}} }

func (r *requests) find(id string) *command.Result {
	if id == "" {
		return nil
	}
	return r.byID[id]
}

func (r *requests) remember(id string, atMS int64, result *command.Result) {
	for len(r.queue) > 0 && (r.queue[0].atMS < atMS-rememberMS || len(r.queue) >= rememberMax) {
		delete(r.byID, r.queue[0].id)
		r.queue = r.queue[1:]
	}
	if id == "" || len(id) > maxRequestID {
		return
	}
	r.queue = append(r.queue, request{id: id, atMS: atMS, result: result})
	r.byID[id] = result
}

// unreadable is the answer to an entry that does not decode. The text depends on the kind of failure alone:
// decoders word their errors differently from one version to the next, and results are the same on every node.
func unreadable(err error) *command.Error {
	switch {
	case errors.Is(err, command.ErrFormat):
		return refuse(command.Code_CODE_UNSUPPORTED, nil, "the command was written by a later version: upgrade this node")
	case errors.Is(err, command.ErrTooLarge):
		return refuse(command.Code_CODE_MALFORMED, nil, "the command is too large")
	default:
		return refuse(command.Code_CODE_MALFORMED, nil, "the command cannot be decoded")
	}
}
