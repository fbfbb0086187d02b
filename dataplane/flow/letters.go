package flow

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Headers that a dead letter has beside its own, those of webhook deliveries among them: why it is one, and where it came
// from.
const (
	letterReason    = "sluice-dlq-reason"
	letterKey       = "sluice-dlq-key" // of the failure; absent: it has none
	letterStatus    = "sluice-dlq-status"
	letterPolicy    = "sluice-dlq-policy"
	letterTopic     = "sluice-dlq-topic"
	letterPartition = "sluice-dlq-partition"
	letterOffset    = "sluice-dlq-offset"
)

// maxReason bounds the reason in a header, in bytes.
const maxReason = 512

// undeliverable is what a chain returns for a message that becomes a dead letter: it is again as it came to the step.
type undeliverable struct {
	step    *step
	failure *message.Failure
}

func (u *undeliverable) Error() string { return u.failure.Error() }

// label gives a dead letter its headers. What chooses the way of other messages does not choose its.
func (u *undeliverable) label(m *message.Message) {
	m.Attributes = nil
	m.Headers = m.Headers[:len(m.Headers):len(m.Headers)] // they may be shared
	add := func(name, value string) {
		m.Headers = append(m.Headers, message.Header{Name: name, Value: []byte(value)})
	}
	reason := u.failure.Error()
	add(letterReason, reason[:min(len(reason), maxReason)])
	if u.failure.Key != "" {
		add(letterKey, u.failure.Key)
	}
	add(letterStatus, strconv.Itoa(u.failure.Status))
	add(letterPolicy, u.step.policy)
	if m.Topic != "" {
		add(letterTopic, m.Topic)
		add(letterPartition, strconv.Itoa(int(m.Partition)))
		add(letterOffset, strconv.FormatInt(m.Offset, 10))
	}
}

// exchange is that of a dead letter: x without what flows made of it, which may choose topics and keys, and without the
// request, since an endpoint may need it for longer.
func (u *undeliverable) exchange(x *exchange.Exchange) *exchange.Exchange {
	return &exchange.Exchange{API: x.API, Entrypoint: x.Entrypoint, QoS: x.QoS, RequestID: x.RequestID, TransactionID: x.TransactionID,
		ClientIdentifier: x.ClientIdentifier, ClientSupplied: x.ClientSupplied, ContextPath: x.ContextPath, PathInfo: x.PathInfo,
		Plan: x.Plan, Application: x.Application, Subscription: x.Subscription, RemoteAddr: x.RemoteAddr, Span: x.Span}
}

// bury sends a copy of a subscriber's message to the endpoint of dead letters, and waits until that has it.
func (b *backend) bury(ctx context.Context, x *exchange.Exchange, u *undeliverable, m *message.Message) error {
	letter := message.Get()
	letter.Timestamp, letter.Topic, letter.Partition, letter.Offset = m.Timestamp, m.Topic, m.Partition, m.Offset
	if m.Content != nil {
		letter.SetContent(m.Content)
	}
	if m.Key != nil {
		letter.Key = letter.Copy(m.Key)
	}
	for i := range m.Headers {
		letter.Headers = append(letter.Headers, message.Header{Name: m.Headers[i].Name, Value: letter.Copy(m.Headers[i].Value)})
	}
	u.label(letter)
	letter.Topic = "" // where it goes is the endpoint's to say
	w := make(burial, 1)
	letter.SetAck(w)
	b.DeadLetter(ctx, u.exchange(x), letter)
	select {
	case err := <-w:
		if err != nil {
			return fmt.Errorf("dead letter of %v: %w", u, err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// burial gets what became of one dead letter.
type burial chan error

// Acked implements message.Ack.
func (w burial) Acked(m *message.Message, err error) {
	m.Release()
	w <- err
}
