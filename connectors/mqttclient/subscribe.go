package mqttclient

import (
	"context"
	"fmt"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Subscribe implements connectors.Source. None, and auto for clients without a name, read what all of the worker's clients
// share; everything else has a session at the broker.
func (e *Endpoint) Subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
	filter, fail := e.filterOf(x, &o)
	if fail != nil {
		return nil, fail
	}
	wake := o.Wake
	if wake == nil {
		wake = func() {}
	}
	var s connectors.Subscription
	var err error
	switch {
	case x.QoS == qos.None && o.Instance != "":
		s, err = opened(e.feeds.subscribe(ctx, shared(x.ClientIdentifier, filter), 0, wake))
	case x.QoS == qos.None:
		s, err = opened(e.feeds.subscribe(ctx, filter, 0, wake))
	case x.QoS == qos.Auto && !x.ClientSupplied:
		s, err = opened(e.feeds.subscribe(ctx, filter, e.set.consumeQoS, wake))
	default:
		var p *page
		if isPage(x, &o) {
			p = newPage(o.Cursor)
		}
		s, err = opened(e.sessions.subscribe(ctx, e.sessions.asked(x, &o, filter), p, wake))
	}
	if err != nil {
		return nil, subscribeFailure(err)
	}
	return s, nil
}

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[S connectors.Subscription](s S, err error) (connectors.Subscription, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// filterOf says what is read, or what is wrong with the question.
func (e *Endpoint) filterOf(x *exchange.Exchange, o *connectors.SubscribeOptions) (string, *message.Failure) {
	if !e.set.consume {
		return "", misconfigured("the consumer is disabled")
	}
	filter := e.set.filter
	if text, ok := attributeText(x, nil, &consumerTopic); ok {
		filter = text
	}
	if filter == "" {
		return "", misconfigured("there is no topic to read (consumer.topic)")
	}
	if problem := filterProblem(filter); problem != "" {
		return "", misconfigured(fmt.Sprintf("%q %s", filter, problem))
	}
	if _, named := parsePage(o.Cursor); o.Cursor != "" && o.Cursor != "latest" && (!named || !isPage(x, o)) {
		return "", noPositions("cannot resume at a position; leave the cursor out, or use latest")
	}
	if o.Until != "" {
		return "", noPositions("cannot replay; there is nothing to read back")
	}
	return filter, nil
}

func noPositions(text string) *message.Failure {
	return &message.Failure{Status: statusBadCursor, Key: message.KeyInvalidCursor, Message: "MQTT keeps no log and " + text}
}
