package mqttclient

import (
	"github.com/sluice-gateway/sluice/qos/message"
)

// gap is the content of a Gap message: what a subscriber does not get, and why.
type gap struct {
	Lost   uint64 `json:"lost,omitempty"` // messages; absent: unknown
	Reason string `json:"reason"`
}

// Reasons of gaps. Clients read them; they never change meaning.
const (
	reasonSlow       = "slow-client"     // the subscriber was overtaken by the ring's end
	reasonConnection = "connection-lost" // what was published while we were away, or on its way when the connection broke, if anything was
	reasonSession    = "session-lost"    // the broker has forgotten the session, and with it what it kept for the client
	reasonRetained   = "retained-limit"  // more retained messages than are kept for new subscribers
)

func gapMessage(lost uint64, reason string) message.Message {
	return message.Event(message.Gap, gap{Lost: lost, Reason: reason})
}
