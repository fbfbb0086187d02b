package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Plans lists an API's plans of every status.
func (c *Client) Plans(ctx context.Context, api string) ([]Item[Plan], error) {
	return every[Plan](ctx, c, c.environment("v4", "apis", api, "plans"),
		url.Values{"status": {"STAGING,PUBLISHED,DEPRECATED,CLOSED"}})
}

// CreatePlan adds a plan to an API.
func (c *Client) CreatePlan(ctx context.Context, api string, plan NewPlan) (*Item[Plan], error) {
	return c.plan(ctx, call{method: http.MethodPost, path: c.environment("v4", "apis", api, "plans"), body: encode(plan)})
}

// MovePlan moves a plan along its life: publish, deprecate, close.
func (c *Client) MovePlan(ctx context.Context, api, plan, move string) (*Item[Plan], error) {
	return c.plan(ctx, call{method: http.MethodPost, path: c.environment("v4", "apis", api, "plans", plan, "_"+move)})
}

func (c *Client) plan(ctx context.Context, cl call) (*Item[Plan], error) {
	r, err := c.do(ctx, cl)
	if err != nil {
		return nil, err
	}
	var p Item[Plan]
	return &p, r.decode(&p)
}

// Workers lists the workers that report to the control plane.
func (c *Client) Workers(ctx context.Context) ([]Item[Worker], error) {
	return every[Worker](ctx, c, path("workers"), nil)
}

// Cluster tells who the control plane is.
func (c *Client) Cluster(ctx context.Context) (*Item[Cluster], error) {
	var v Item[Cluster]
	return &v, c.get(ctx, path("cluster"), &v)
}

// encode writes a body of this package, which cannot fail: its raw members were read as JSON before.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
