package mqttclient

import (
	"encoding/json"

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
	reasonConnection = "connection-lost" // what was published while we were away, if anything was
	reasonSession    = "session-lost"    // the broker has forgotten the session, and with it what it kept for the client
	reasonRetained   = "retained-limit"  // more retained messages than are kept for new subscribers
)

// notice is the content of a Notice message.
type notice struct {
	Key     string `json:"key"`
	Message string `json:"message"`
	Closed  bool   `json:"closed"`
}

// contentOf renders a message of our own. Such messages are rare.
func contentOf(kind message.Kind, v any) message.Message {
	content, err := json.Marshal(v)
	if err != nil {
		panic(err) // both types are plain
	}
	return message.Message{Kind: kind, Content: content}
}

func gapMessage(lost uint64, reason string) message.Message {
	return contentOf(message.Gap, gap{Lost: lost, Reason: reason})
}

func noticeMessage(closed bool) message.Message {
	n := notice{Key: message.KeyConnectionClosed, Message: textClosed, Closed: closed}
	if !closed {
		n.Message = "Endpoint connection restored"
	}
	return contentOf(message.Notice, n)
}
