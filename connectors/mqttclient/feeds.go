package mqttclient

import (
	"context"
	"sync"

	"github.com/sluice-gateway/sluice/connectors/supervise"
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

// subscribe gives a subscriber its place in the filter's feed.
func (fs *feeds) subscribe(ctx context.Context, filter string, want byte, wake func()) (*subscription, error) {
	f, err := fs.enter(ctx, filter)
	if err != nil {
		return nil, err
	}
	s := &subscription{f: f, wake: wake}
	if err := f.join(ctx, s, want); err != nil {
		f.leave()
		return nil, err
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
		return nil, supervise.ErrEnded
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
	if err := fs.e.tasks.Start(ctx, f.run); err != nil {
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
		f.finish(subscribeFailure(supervise.ErrEnded))
	}
}
