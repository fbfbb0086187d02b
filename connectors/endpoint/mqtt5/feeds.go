package mqtt5

import (
	"context"
	"fmt"
	"sync"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// feeds are an endpoint's topic filters that are read: the configured one, and those that attributes name.
type feeds struct {
	e *Endpoint

	mu    sync.Mutex // guards the following, and feed.refs
	all   map[string]*feed
	ended bool
}

// maxFeeds bounds the topic filters that attributes may name, per endpoint: each is a connection.
const maxFeeds = 64

func (fs *feeds) init(e *Endpoint) {
	fs.e = e
	fs.all = map[string]*feed{}
}

// subscribe implements connectors.Source.
func (fs *feeds) subscribe(ctx context.Context, x *exchange.Exchange, o connectors.SubscribeOptions) (*subscription, error) {
	if !fs.e.set.consume {
		return nil, misconfigured("the consumer is disabled")
	}
	filter := fs.e.set.filter
	if text, ok := attributeText(x, nil, &consumerTopic); ok {
		filter = text
	}
	if filter == "" {
		return nil, misconfigured("there is no topic to read (consumer.topic)")
	}
	if problem := filterProblem(filter); problem != "" {
		return nil, misconfigured(fmt.Sprintf("%q %s", filter, problem))
	}
	if o.Cursor != "" && o.Cursor != "latest" {
		return nil, &message.Failure{Status: statusBadCursor, Key: message.KeyInvalidCursor,
			Message: "MQTT keeps no log and cannot resume at a position; leave the cursor out, or use latest"}
	}
	f, err := fs.enter(ctx, filter)
	if err != nil {
		return nil, subscribeFailure(err)
	}
	s := &subscription{f: f, wake: o.Wake}
	if s.wake == nil {
		s.wake = func() {}
	}
	want := byte(0)
	if x.QoS != qos.None {
		want = 1
	}
	if err := f.join(ctx, s, want); err != nil {
		f.leave()
		return nil, subscribeFailure(err)
	}
	fs.e.stats.subscribers.Add(1)
	return s, nil
}

// enter returns the filter's feed, counted as used, and starts it where there is none.
func (fs *feeds) enter(ctx context.Context, filter string) (*feed, error) {
	fs.mu.Lock()
	f := fs.all[filter]
	switch {
	case fs.ended:
		fs.mu.Unlock()
		return nil, errEnded
	case f != nil:
		f.refs++
		fs.mu.Unlock()
		return f, nil
	case len(fs.all) >= maxFeeds:
		fs.mu.Unlock()
		return nil, &message.Failure{Status: statusRetry, Key: message.KeyUnknownError,
			Message: "too many different topic filters are read at once"}
	}
	f = newFeed(fs, filter)
	f.refs = 1
	fs.all[filter] = f
	fs.mu.Unlock()
	if err := fs.e.spawn(ctx, f.run); err != nil {
		f.finish(subscribeFailure(err))
		return nil, err
	}
	return f, nil
}

// forget takes f out of service, where idle only if nobody uses it. It tells whether it did.
func (fs *feeds) forget(f *feed, idle bool) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if idle && f.refs > 0 {
		return false
	}
	if fs.all[f.filter] == f {
		delete(fs.all, f.filter)
	}
	return true
}

// end fails every subscription, present and future.
func (fs *feeds) end() {
	fs.mu.Lock()
	fs.ended = true
	var all []*feed
	for _, f := range fs.all {
		all = append(all, f)
	}
	fs.mu.Unlock()
	for _, f := range all {
		f.finish(subscribeFailure(errEnded))
	}
}
