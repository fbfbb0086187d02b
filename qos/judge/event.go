package judge

import (
	"errors"
	"fmt"
	"math"
)

// Kind is what happened.
type Kind uint8

// Kinds of events. The first four are about publishing, the others are told of one subscriber each.
const (
	Produced     Kind = iota + 1 // Key, Seq: a producer handed the message over
	Stored                       // Key, Seq: a producer was told that the broker has it, or it was read from the log; Partition, Offset where known
	Refused                      // Key, Seq: a producer was told that it is not stored
	Subscribed                   // Level, Rules, Cursor: a subscriber's first connection begins
	Resumed                      // Cursor: a further connection of it begins
	Disconnected                 // its connection ended
	Delivered                    // Key, Seq: it got the message; Partition, Offset where known
	Acked                        // Key, Seq: it proved receipt of that message; or Cursor: of all below
	Checkpointed                 // Cursor: its state became durable
	Gap                          // Partition, From, To, Reason: it was told that it does not get these
)

var kindNames = [...]string{Produced: "produced", Stored: "stored", Refused: "refused", Subscribed: "subscribed", Resumed: "resumed",
	Disconnected: "disconnected", Delivered: "delivered", Acked: "acked", Checkpointed: "checkpointed", Gap: "gap"}

// String returns the kind as histories spell it.
func (k Kind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

// MarshalText writes a kind as histories spell it.
func (k Kind) MarshalText() ([]byte, error) {
	if k == 0 || int(k) >= len(kindNames) {
		return nil, fmt.Errorf("%w: kind %d", ErrEvent, k)
	}
	return []byte(kindNames[k]), nil
}

// UnmarshalText reads what MarshalText writes.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kindNames {
		if i > 0 && name == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("%w: kind %q", ErrEvent, text)
}

// ErrEvent is what an event that makes no sense is refused with: a mistake of the recorder, not a broken promise.
var ErrEvent = errors.New("event makes no sense")

// Cursor is a position per partition: the offset of the next message, all below it are past. The position of Everywhere
// holds for the partitions that are not named; only connections begin with one.
type Cursor map[string]int64

// Everywhere names all other partitions in a Cursor.
const Everywhere = "*"

// Event is one thing that happened. Which fields count is said by the kinds.
//
// The events of one subscriber stand in the order in which they happened to it, and so do those of one producer. Between
// them no order is asked for: what is delivered may stand before what is stored.
type Event struct {
	Kind       Kind   `json:"event"`
	Subscriber string `json:"subscriber,omitempty"`
	// Key and Seq are the identity of a message: its number among those of its key, in the order that consumers of the key
	// are promised. Messages without an order among them have keys of their own.
	Key string `json:"key,omitempty"`
	Seq int64  `json:"seq,omitempty"`
	// Partition and Offset are its place in the log; Partition "": unknown. MQTT topics are partitions.
	Partition string `json:"partition,omitempty"`
	Offset    int64  `json:"offset,omitempty"`
	// From and To bound a gap: offsets from From up to, not including, To. Both 0: all between the neighbours of the gap in
	// what is delivered of Partition, or of every partition where that is "".
	From   int64  `json:"from,omitempty"`
	To     int64  `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"` // of a gap, for people
	Cursor Cursor `json:"cursor,omitempty"`
	// Level is what a subscriber was promised. Rules, where there are any, are held instead of those of the level.
	Level string `json:"level,omitempty"`
	Rules Rules  `json:"rules,omitempty"`
}

// validate refuses what no recorder means.
func (e *Event) validate() error {
	switch {
	case e.Kind == 0 || int(e.Kind) >= len(kindNames):
		return fmt.Errorf("%w: kind %d", ErrEvent, e.Kind)
	case (e.Kind >= Subscribed) != (e.Subscriber != ""):
		return fmt.Errorf("%w: %s of subscriber %q", ErrEvent, e.Kind, e.Subscriber)
	case e.Offset < 0 || e.Offset == math.MaxInt64 || e.Partition == Everywhere:
		return fmt.Errorf("%w: position %s@%d", ErrEvent, e.Partition, e.Offset)
	case e.From < 0 || e.To < e.From || (e.To > 0 && e.Partition == ""):
		return fmt.Errorf("%w: gap in %q from %d to %d", ErrEvent, e.Partition, e.From, e.To)
	case e.Kind == Checkpointed && len(e.Cursor) == 0:
		return fmt.Errorf("%w: checkpoint without positions", ErrEvent)
	}
	for p, offset := range e.Cursor {
		if p == "" || offset < 0 || (p == Everywhere && e.Kind != Subscribed && e.Kind != Resumed) {
			return fmt.Errorf("%w: cursor %q@%d", ErrEvent, p, offset)
		}
	}
	return nil
}
