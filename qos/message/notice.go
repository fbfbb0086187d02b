package message

import "encoding/json"

// TextConnectionClosed is what clients read of an endpoint whose connection is closed (spec 3.6).
const TextConnectionClosed = "Endpoint connection closed"

// notice is the content of a Notice about an endpoint's connection.
type notice struct {
	Key     string `json:"key"`
	Message string `json:"message"`
	Closed  bool   `json:"closed"`
}

// ConnectionNotice returns the Notice that an endpoint's connection is closed, or is there again.
func ConnectionNotice(closed bool) Message {
	n := notice{Key: KeyConnectionClosed, Message: TextConnectionClosed, Closed: closed}
	if !closed {
		n.Message = "Endpoint connection restored"
	}
	return Event(Notice, n)
}

// Event returns a message of our own whose content is v as JSON. Such messages are rare; v must be plain data.
func Event(kind Kind, v any) Message {
	content, err := json.Marshal(v)
	if err != nil {
		panic(err) // v is plain
	}
	return Message{Kind: kind, Content: content}
}
