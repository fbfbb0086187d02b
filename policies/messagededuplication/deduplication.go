// Package messagededuplication is the policy "message-deduplication", an addition of Sluice: messages whose key was seen before go no
// further, and count as received.
//
// It runs in the phases publish and subscribe. The key is an expression; a message whose key is null or empty goes on. A key is
// remembered for windowSeconds after its first message, for at most maxEntries keys at a time, as a digest of 128 bits.
//
// What it promises. On publish: of the messages with one key that a step on one worker takes within the window, one is stored. A key counts once its
// message was stored: where storing fails, the client's next try goes through, and while it is under way another message with the key is
// refused with 503 MESSAGE_DEDUPLICATION_PENDING, since nobody knows yet. On subscribe: a connection gets one message per key within
// the window. Memory is that of the step's revision on one worker: it is lost when the worker ends and when the API is deployed
// anew, and workers know nothing of each other. For more, the broker's own means are needed, such as idempotent producers and
// compacted topics.
//
// Where maxBytes is reached the oldest keys are forgotten early, which lets duplicates through, and never drops what is none. A key that cannot be
// evaluated lets the message through, or with onError FAIL fails with 500 MESSAGE_DEDUPLICATION_FAILURE.
package messagededuplication

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of message-deduplication.
type Config struct {
	// Key is what tells messages apart; it may hold expressions, e.g. {#message.headers['Idempotency-Key'][0]}. Required.
	Key string `json:"key"`
	// WindowSeconds is how long a key is remembered: 1 to 86400. Default 300.
	WindowSeconds int `json:"windowSeconds"`
	// MaxEntries bounds the keys that are remembered, on subscribe of each connection: 1 to 1000000. Default 10000.
	MaxEntries int `json:"maxEntries"`
	// MaxBytes bounds the memory of the step, of all connections together, in bytes: 65536 to 1073741824. Default 67108864.
	MaxBytes int `json:"maxBytes"`
	// OnError is KEEP or FAIL: what becomes of a message whose key cannot be evaluated. Default KEEP.
	OnError string `json:"onError"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "message-deduplication",
	Name:    "Message Deduplication",
	Phases:  policies.Publish | policies.Subscribe,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config {
	return &Config{WindowSeconds: 300, MaxEntries: 10000, MaxBytes: 64 << 20, OnError: "KEEP"}
}

type policy struct {
	key    *policies.Expression
	window time.Duration
	most   int
	bytes  int64         // that may be held
	held   *atomic.Int64 // by all windows
	strict bool
	all    *window // of publish
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	if strings.TrimSpace(c.Key) == "" {
		problems = append(problems, settings.Invalid("/key", "is required: what tells messages apart, e.g. {#message.headers['Idempotency-Key'][0]}"))
	}
	for _, n := range []struct {
		name               string
		value, least, most int
	}{{"windowSeconds", c.WindowSeconds, 1, 86400}, {"maxEntries", c.MaxEntries, 1, 1_000_000}, {"maxBytes", c.MaxBytes, 64 << 10, 1 << 30}} {
		if n.value < n.least || n.value > n.most {
			problems = append(problems, settings.Invalid("/"+n.name, fmt.Sprintf("must be between %d and %d", n.least, n.most)))
		}
	}
	if c.OnError != "KEEP" && c.OnError != "FAIL" {
		problems = append(problems, settings.Invalid("/onError", "must be KEEP or FAIL"))
	}
	p := &policy{window: time.Duration(c.WindowSeconds) * time.Second, most: c.MaxEntries, bytes: int64(c.MaxBytes), strict: c.OnError == "FAIL", held: new(atomic.Int64)}
	var err error
	if p.key, err = policies.ParseExpression(c.Key); err != nil {
		problems = append(problems, settings.Invalid("/key", err.Error()))
	}
	if problems.Err() != nil {
		return nil, problems
	}
	p.all = p.newWindow()
	if env.Phase == policies.Subscribe {
		return &perConnection{p}, problems
	}
	return p, problems
}

// Traits implements policies.Traited.
func (p *policy) Traits() policies.Traits {
	return policies.Traits{Filter: true, Uses: p.key.Uses()}
}

// digest is the key of a message; ok false: it has none.
func (p *policy) digest(c *policies.Context) (d digest, ok bool, err error) {
	text, ok, err := p.key.TextOrNull(c)
	if err != nil {
		if !p.strict {
			return d, false, nil
		}
		return d, false, &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "MESSAGE_DEDUPLICATION_FAILURE",
			Message: "Unable to evaluate the key of the message", Err: err}
	}
	if !ok || text == "" {
		return d, false, nil
	}
	sum := sha256.Sum256([]byte(text))
	return digest(sum[:]), true, nil
}

// OnMessage implements policies.MessagePolicy, for publish: the key counts when the message is stored.
func (p *policy) OnMessage(_ context.Context, c *policies.Context, m *message.Message) error {
	d, ok, err := p.digest(c)
	if !ok || err != nil {
		return err
	}
	switch p.all.begin(d, time.Now()) {
	case seen:
		return policies.ErrDrop
	case pending:
		return &message.Failure{Status: fasthttp.StatusServiceUnavailable, Key: "MESSAGE_DEDUPLICATION_PENDING",
			Message: "A message with the same key is being stored; try again"}
	}
	m.SetAck(&settle{window: p.all, digest: d, next: m.Ack()})
	return nil
}

// settle tells the window what became of a message.
type settle struct {
	window *window
	digest digest
	next   message.Ack // nil: nobody else wants to know
}

// Acked implements message.Ack.
func (s *settle) Acked(m *message.Message, err error) {
	s.window.settle(s.digest, err == nil)
	if s.next != nil {
		s.next.Acked(m, err)
	}
}

// perConnection is a policy on subscribe: each connection remembers what it got.
type perConnection struct{ *policy }

// Connect implements policies.Connector.
func (p *perConnection) Connect(*policies.Context) policies.MessagePolicy {
	return &connection{p.policy, p.newWindow()}
}

type connection struct {
	*policy
	own *window
}

// OnMessage implements policies.MessagePolicy.
func (p *connection) OnMessage(_ context.Context, c *policies.Context, _ *message.Message) error {
	d, ok, err := p.digest(c)
	if !ok || err != nil {
		return err
	}
	if p.own.begin(d, time.Now()) == seen {
		return policies.ErrDrop
	}
	p.own.settle(d, true)
	return nil
}

var (
	_ policies.MessagePolicy = (*policy)(nil)
	_ policies.Traited       = (*policy)(nil)
	_ policies.Connector     = (*perConnection)(nil)
)
