package fake

import (
	"context"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Endless returns a subscription that always has more of m, as a full topic does.
func Endless(m message.Message) connectors.Subscription {
	const batch = 1024
	msgs := make([]message.Message, batch)
	for i := range msgs {
		msgs[i] = m
	}
	return endless(msgs)
}

type endless []message.Message

func (e endless) Poll(limit int) ([]message.Message, error) { return e[:min(limit, len(e))], nil }
func (e endless) DeliveredThrough(*message.Message)         {}
func (e endless) Acknowledge(*message.Message)              {}
func (e endless) AppendCursor(dst []byte) []byte            { return dst }
func (e endless) Close(context.Context)                     {}
