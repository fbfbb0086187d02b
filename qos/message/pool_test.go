package message

import "testing"

// Empty content is present, whatever memory the message was made with: absent content means something else (a tombstone).
func TestMessage_EmptyContentIsPresent(t *testing.T) {
	t.Parallel()
	m := new(Message)
	m.SetContent(nil)
	if m.Content == nil {
		t.Error("empty content became absent")
	}
}
