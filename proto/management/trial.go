package management

import "encoding/json"

// Trial asks what a draft would make of messages (sluice try). Nothing of it is kept, and nothing leaves.
type Trial struct {
	// Definition is the draft, in any dialect.
	Definition json.RawMessage `json:"definition,omitempty"`
	// Phase is subscribe, the default, or publish.
	Phase string `json:"phase,omitempty" enum:"subscribe,publish"`
	// Entrypoint is the type of the one that the messages go through; the first of the phase, where it is absent.
	Entrypoint string `json:"entrypoint,omitempty"`
	// Plan is the id or name of the plan whose flows run; the first that serves, where it is absent.
	Plan string `json:"plan,omitempty"`
	// Path is what the client asks for behind the listener's path, Query and Headers what else it sends.
	Path    string            `json:"path,omitempty"`
	Query   string            `json:"query,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	// Metadata is that of the client's subscription.
	Metadata map[string]string `json:"metadata,omitempty"`
	// Messages are taken through the chain, in their order.
	Messages []TrialMessage `json:"messages,omitempty"`
	// FromTopic has the last messages of a topic read instead, Last of them (100).
	FromTopic string `json:"fromTopic,omitempty"`
	Last      int    `json:"last,omitempty"`
}

// TrialMessage is a message, in a trial and in what comes of it. Content that is no text is in ContentBase64.
type TrialMessage struct {
	Key           *string             `json:"key,omitempty"`
	Headers       map[string][]string `json:"headers,omitempty"`
	Content       *string             `json:"content,omitempty"`
	ContentBase64 []byte              `json:"contentBase64,omitempty"`
	Topic         string              `json:"topic,omitempty"`
	Partition     int32               `json:"partition,omitempty"`
	Offset        int64               `json:"offset,omitempty"`
	Timestamp     int64               `json:"timestamp,omitempty"` // Unix milliseconds
}

// What became of a message in a step, or on the whole.
const (
	TrialPassed  = "passed"      // it ran, and left the message as it was
	TrialChanged = "changed"     // it ran, and changed the message
	TrialSkipped = "skipped"     // a condition is not met
	TrialDropped = "dropped"     // it goes no further, and counts as delivered
	TrialHeld    = "held"        // it goes no further, and is never acknowledged
	TrialBuried  = "dead letter" // it failed, and would go to the dead letters
	TrialFailed  = "failed"      // it would end the stream, or be refused
	TrialEnded   = "ended"       // the stream or the request would end here, in order
)

// TrialStep is what a step did.
type TrialStep struct {
	Policy  string   `json:"policy"`
	Name    string   `json:"name,omitempty"`
	Pointer string   `json:"pointer,omitempty"` // of the step in the definition's normal form
	Result  string   `json:"result"`
	Reason  string   `json:"reason,omitempty"`
	Notes   []string `json:"notes,omitempty"` // what it would have done outside, such as a call
	NS      int64    `json:"ns"`              // of this one run, which is cold
}

// TrialResult is what became of a message.
type TrialResult struct {
	In     TrialMessage  `json:"in"`
	Out    *TrialMessage `json:"out,omitempty"` // absent: it went no further
	Result string        `json:"result"`
	Reason string        `json:"reason,omitempty"`
	Steps  []TrialStep   `json:"steps"`
	// NS and Allocs are what the whole chain costs once it is warm; absent, where it would have done something outside.
	NS     *int64 `json:"ns,omitempty"`
	Allocs *int   `json:"allocs,omitempty"`
}

// TrialReport is the answer to a trial.
type TrialReport struct {
	// Before is what the request phase did, Ended why it ended the exchange.
	Before   []TrialStep   `json:"before"`
	Ended    string        `json:"ended,omitempty"`
	Messages []TrialResult `json:"messages"`
}
