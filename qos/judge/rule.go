package judge

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/qos"
)

// Rules is a set of promises.
type Rules uint16

// The promises, each broken by one message or more.
const (
	// Loss: a stored message never arrived. What the log itself no longer had (a gap announced as retention and the like)
	// is lost too; a history in which that is meant to happen leaves the rule out.
	Loss Rules = 1 << iota
	// Duplicate: a message arrived again.
	Duplicate
	// OrderPerKey: in one connection a message arrived behind a later one of its key.
	OrderPerKey
	// OrderPerPartition: in one connection a message arrived behind a later one of its partition.
	OrderPerPartition
	// CommitAboveAck: a checkpoint covered a message before its receipt was proved.
	CommitAboveAck
	// CommitAboveDelivery: a checkpoint covered a message before it was delivered.
	CommitAboveDelivery
	// DeliveryAboveCommit: a message was delivered before a checkpoint covered it. Partitions in which the subscriber never
	// has a checkpoint are left out.
	DeliveryAboveCommit
	// SilentGap: a connection skipped a stored message between its start and the last that it delivered of the partition,
	// nobody told the subscriber, and it never got the message.
	SilentGap
	// Invention: a message arrived that nobody produced.
	Invention
	// FalseRefusal: a message is stored or arrived although its producer was told that it is not stored.
	FalseRefusal

	lastRule = FalseRefusal
)

var ruleNames = [...]string{"loss", "duplicate", "order-per-key", "order-per-partition", "commit-above-ack", "commit-above-delivery",
	"delivery-above-commit", "silent-gap", "invention", "false-refusal"}

// always are the promises of every level.
const always = OrderPerKey | OrderPerPartition | SilentGap | Invention

// RulesOf returns what a level promises of a stream that is delivered in the order of its partitions. An entrypoint that
// keeps the order of keys only is judged without OrderPerPartition.
func RulesOf(level qos.Level) Rules {
	switch level {
	case qos.Auto:
		return always | CommitAboveDelivery
	case qos.AtMostOnce:
		return always | Duplicate | DeliveryAboveCommit
	case qos.AtLeastOnce:
		return always | Loss | CommitAboveAck
	}
	return always
}

// names lists the rules of a set, in the order of the constants.
func (r Rules) names() []string {
	out := []string{}
	for i, name := range ruleNames {
		if r&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// MarshalJSON writes the set as a list of names.
func (r Rules) MarshalJSON() ([]byte, error) { return json.Marshal(r.names()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Rules) UnmarshalJSON(text []byte) error {
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	*r = 0
next:
	for _, n := range names {
		for i, name := range ruleNames {
			if n == name {
				*r |= 1 << i
				continue next
			}
		}
		return fmt.Errorf("%w: rule %q", ErrEvent, n)
	}
	return nil
}

// String names the rules of a set.
func (r Rules) String() string { return strings.Join(r.names(), ", ") }
