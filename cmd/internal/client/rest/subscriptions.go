package rest

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sluice-gateway/sluice/proto/management"
)

// Subscriptions lists an API's subscriptions, the newest first; query holds the filters of the management API.
func (c *Client) Subscriptions(ctx context.Context, api string, query url.Values) ([]Item[management.Subscription], error) {
	return every[management.Subscription](ctx, c, c.subscription(api), query)
}

// Subscription reads one.
func (c *Client) Subscription(ctx context.Context, api, id string) (*Item[management.Subscription], error) {
	var v Item[management.Subscription]
	return &v, c.get(ctx, c.subscription(api, id), &v)
}

// CreateSubscription subscribes to a plan; body is JSON or YAML.
func (c *Client) CreateSubscription(ctx context.Context, api string, body []byte, plan, application string) (*Item[management.Subscription], error) {
	query := url.Values{}
	for name, value := range map[string]string{"plan": plan, "application": application} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return changed[management.Subscription](ctx, c, call{method: http.MethodPost, path: c.subscription(api), query: query, body: body})
}

// MoveSubscription moves a subscription along its life: accept, reject, pause, resume, close, restore.
func (c *Client) MoveSubscription(ctx context.Context, api, id, move string) (*Item[management.Subscription], error) {
	return changed[management.Subscription](ctx, c, call{method: http.MethodPost, path: c.subscription(api, id, "_"+move)})
}

// StartConsumer starts delivery again that its consumer stopped, or that failed.
func (c *Client) StartConsumer(ctx context.Context, api, id string) (*Item[management.Subscription], error) {
	return changed[management.Subscription](ctx, c, call{
		method: http.MethodPost, path: c.subscription(api, id, "_changeConsumerStatus"), query: url.Values{"status": {management.ConsumerStarted}},
	})
}

// Replay delivers a part of the past again.
func (c *Client) Replay(ctx context.Context, api, id string, r management.NewReplay) (*Item[management.Replay], error) {
	return changed[management.Replay](ctx, c, call{method: http.MethodPost, path: c.subscription(api, id, "replays"), body: encode(r)})
}

// Attempts are the last tries to deliver to a subscriber.
func (c *Client) Attempts(ctx context.Context, api, id string, limit int) (*Item[management.Attempts], error) {
	r, err := c.do(ctx, call{method: http.MethodGet, path: c.subscription(api, id, "attempts"), query: url.Values{"limit": {strconv.Itoa(limit)}}})
	if err != nil {
		return nil, err
	}
	var v Item[management.Attempts]
	return &v, r.decode(&v)
}

func (c *Client) subscription(api string, elements ...string) string {
	return c.environment(append([]string{"v4", "apis", api, "subscriptions"}, elements...)...)
}

// changed is the object that a call answers.
func changed[T any](ctx context.Context, c *Client, cl call) (*Item[T], error) {
	r, err := c.do(ctx, cl)
	if err != nil {
		return nil, err
	}
	var v Item[T]
	return &v, r.decode(&v)
}
