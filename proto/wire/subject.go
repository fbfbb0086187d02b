package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Names on the wire. A token that begins with "_" followed by no hexadecimal digits cannot come out of token, so
// no tag and no worker can take the reserved ones.
const (
	prefix        = "sluice.v1."
	inbox         = "_INBOX."
	workerToken   = "_worker"
	subscriptions = "_sub-" // before a tag's token, or that of Everything: the stream of the subscriptions
	askInfix      = ".ask."
	chunkInfix    = ".chunk."
	hexDigits     = "0123456789ABCDEF"
	maxTagBytes   = 64  // a sharding tag; the reference system's keys are far shorter
	maxNodeBytes  = 128 // a worker or node name: a host name is at most 64 on Linux, a pod name 253 with its domain
	maxWorkerTags = 64  // each is a stream to follow
)

// Errors of names.
var (
	// ErrTag is returned for a tag that is empty or longer than 64 bytes.
	ErrTag = errors.New("a sharding tag has 1 to 64 bytes")
	// ErrName is returned for a worker's or node's name that is empty or longer than 128 bytes.
	ErrName = errors.New("a worker's or node's name has 1 to 128 bytes")
	// ErrTooManyTags is returned for a worker with more than 64 tags.
	ErrTooManyTags = errors.New("a worker has at most 64 sharding tags")
)

// Stream is the name of a stream as a subject token.
type Stream string

// Everything is the stream of all APIs, for the workers that have no tag.
const Everything Stream = "_all"

// Item is what a stream is made of. Each tag has a stream for every item, so that what is many and changes often does not
// hold up what is few, and a worker that does not know an item does not hear of it.
type Item uint8

// Items.
const (
	ItemAPI          Item = iota // deployed APIs
	ItemSubscription             // subscriptions of deployed APIs, which go where their API goes
)

// items are all there are.
var items = [...]Item{ItemAPI, ItemSubscription}

// Of is the stream of another item for the same tag; s is one of APIs.
func (s Stream) Of(item Item) Stream {
	if item == ItemSubscription {
		return subscriptions + s
	}
	return s
}

// Item tells what the stream is made of.
func (s Stream) Item() Item {
	if strings.HasPrefix(string(s), subscriptions) {
		return ItemSubscription
	}
	return ItemAPI
}

// StreamOf is the stream of the APIs that carry the tag.
func StreamOf(tag string) (Stream, error) {
	if tag == "" || len(tag) > maxTagBytes {
		return "", fmt.Errorf("%w: %q", ErrTag, tag)
	}
	return Stream(token(tag)), nil
}

// StreamsOf lists the streams that an item with these tags belongs to, Everything first. A tag that is no tag is
// left out: no worker can ask for it.
func StreamsOf(item Item, tags []string) []Stream {
	out := make([]Stream, 1, len(tags)+1)
	out[0] = Everything.Of(item)
	for _, t := range tags {
		if s, err := StreamOf(t); err == nil && !slices.Contains(out, s.Of(item)) {
			out = append(out, s.Of(item))
		}
	}
	return out
}

// RevisionSubject is where a stream's pushes are published.
func RevisionSubject(s Stream) string { return prefix + string(s) + ".rev" }

// HeartbeatSubject is where a stream's heartbeats are published.
func HeartbeatSubject(s Stream) string { return prefix + string(s) + ".hb" }

// AskSubject is where a worker asks for what it lacks; one control-plane node answers. The worker's name is in it, so
// that NATS permissions keep one worker from asking as another.
func AskSubject(s Stream, worker string) string { return prefix + string(s) + askInfix + token(worker) }

// AskPattern matches AskSubject of every stream and worker.
func AskPattern() string { return prefix + "*" + askInfix + "*" }

// ChunkSubject is where a worker asks the node that answered for a chunk.
func ChunkSubject(s Stream, node, worker string) string {
	return prefix + string(s) + chunkInfix + token(node) + "." + token(worker)
}

// ChunkPattern matches ChunkSubject of every stream and worker at the node.
func ChunkPattern(node string) string { return prefix + "*" + chunkInfix + token(node) + ".*" }

// StatusSubject is where a worker reports.
func StatusSubject(worker string) string { return prefix + workerToken + ".status." + token(worker) }

// StatusPattern matches StatusSubject of every worker.
func StatusPattern() string { return prefix + workerToken + ".status.*" }

// AttemptsSubject is where a control-plane node asks a worker for attempts.
func AttemptsSubject(worker string) string {
	return prefix + workerToken + ".attempts." + token(worker)
}

// replies is the place of a worker's answers; the worker's own, so that none answers for another.
const replies = workerToken + ".reply."

// ReplySubject is where the worker answers the node's request of this name, a token.
func ReplySubject(worker, node, request string) string {
	return prefix + replies + token(worker) + "." + token(node) + "." + request
}

// ReplyPattern matches ReplySubject of every worker and request for the node.
func ReplyPattern(node string) string { return prefix + replies + "*." + token(node) + ".*" }

// RequestOfReply reads the request's name out of a subject made by ReplySubject.
func RequestOfReply(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// IsReply tells whether subject is a place for the worker's answers. The worker checks it, as who answers it does with
// IsInbox.
func IsReply(subject, worker string) bool {
	return strings.HasPrefix(subject, prefix+replies+token(worker)+".")
}

// InboxPrefix is what the subjects of replies to the worker begin with; it is the worker's own.
func InboxPrefix(worker string) string { return inbox + token(worker) }

// IsInbox tells whether subject is in the worker's inbox. Who answers a request checks it, or a worker could name a
// subject that it may not publish to itself as the place for the reply.
func IsInbox(subject, worker string) bool {
	return strings.HasPrefix(subject, InboxPrefix(worker)+".")
}

// StreamOfSubject reads the stream out of a subject made by AskSubject or ChunkSubject.
func StreamOfSubject(subject string) (Stream, bool) {
	rest, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return "", false
	}
	s, _, ok := strings.Cut(rest, ".")
	return Stream(s), ok && s != ""
}

// Permissions is what a NATS user may do, as subject patterns.
type Permissions struct {
	Publish   []string
	Subscribe []string
}

// WorkerPermissions is what the worker may do: read the streams of its tags, ask about them, report its own status, answer
// what it is asked, exchange rate counters with the other workers.
func WorkerPermissions(worker string, sel Selector) Permissions {
	p := Permissions{
		Publish:   []string{StatusSubject(worker), prefix + replies + token(worker) + ".>"},
		Subscribe: []string{InboxPrefix(worker) + ".>", AttemptsSubject(worker)},
	}
	rates := ratePermissions(worker)
	p.Publish, p.Subscribe = append(p.Publish, rates.Publish...), append(p.Subscribe, rates.Subscribe...)
	for _, s := range sel.Streams() {
		p.Publish = append(p.Publish, AskSubject(s, worker), prefix+string(s)+chunkInfix+"*."+token(worker))
		p.Subscribe = append(p.Subscribe, RevisionSubject(s), HeartbeatSubject(s))
	}
	return p
}

// ControlPermissions is what a control-plane node may do.
func ControlPermissions() Permissions {
	return Permissions{Publish: []string{prefix + ">", inbox + ">"}, Subscribe: []string{prefix + ">", inbox + ">"}}
}

// CheckName tells whether name can be a worker's or a node's.
func CheckName(name string) error {
	if name == "" || len(name) > maxNodeBytes {
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}

// token escapes s into one subject token: ASCII letters, digits and "-" stay, every other byte is "_" and two
// upper-case hexadecimal digits. It is one to one.
func token(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		default:
			b.WriteByte('_')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}
