package rest

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// perPage is how many APIs one page holds, where the server pages.
	perPage = 200
	// maxPages bounds a list that never ends.
	maxPages = 500
)

// Stored is an API as the server holds it, with the tag that guards an update.
type Stored struct {
	Item[API]
	ETag string
}

// APIs lists the environment's APIs.
func (c *Client) APIs(ctx context.Context) ([]Item[API], error) {
	return every[API](ctx, c, c.environment("v4", "apis"), nil)
}

// every reads a list, page by page where there are pages.
func every[T any](ctx context.Context, c *Client, path string, query url.Values) ([]Item[T], error) {
	all := []Item[T]{}
	for page := 1; page <= maxPages; page++ {
		q := url.Values{"page": {strconv.Itoa(page)}, "perPage": {strconv.Itoa(perPage)}}
		for name, values := range query {
			q[name] = values
		}
		r, err := c.do(ctx, call{method: http.MethodGet, path: path, query: q})
		if err != nil {
			return nil, err
		}
		var l list[T]
		if err := r.decode(&l); err != nil {
			return nil, err
		}
		all = append(all, l.Data...)
		if page >= l.Pagination.PageCount || len(l.Data) == 0 {
			break
		}
	}
	return all, nil
}

// API reads one API.
func (c *Client) API(ctx context.Context, id string) (*Stored, error) {
	return c.stored(ctx, call{method: http.MethodGet, path: c.environment("v4", "apis", id)})
}

// Create stores a definition under a new id, or the definition's own.
func (c *Client) Create(ctx context.Context, definition []byte) (*Stored, error) {
	return c.stored(ctx, call{method: http.MethodPost, path: c.environment("v4", "apis"), body: definition})
}

// Update replaces a definition if it is still the one that etag was read with.
func (c *Client) Update(ctx context.Context, id, etag string, definition []byte) (*Stored, error) {
	return c.stored(ctx, call{method: http.MethodPut, path: c.environment("v4", "apis", id), ifMatch: etag, body: definition})
}

func (c *Client) stored(ctx context.Context, cl call) (*Stored, error) {
	r, err := c.do(ctx, cl)
	if err != nil {
		return nil, err
	}
	s := &Stored{ETag: r.etag}
	return s, r.decode(&s.Item)
}

// Delete removes a stopped API.
func (c *Client) Delete(ctx context.Context, id string, closePlans bool) error {
	cl := call{method: http.MethodDelete, path: c.environment("v4", "apis", id)}
	if closePlans {
		cl.query = url.Values{"closePlans": {"true"}}
	}
	_, err := c.do(ctx, cl)
	return err
}

// Start asks the workers to serve an API; an API that was never deployed is deployed by it.
func (c *Client) Start(ctx context.Context, id string, wait time.Duration) error {
	return c.act(ctx, id, "START", wait)
}

// Stop asks the workers to serve it no more.
func (c *Client) Stop(ctx context.Context, id string) error { return c.act(ctx, id, "STOP", 0) }

func (c *Client) act(ctx context.Context, id, action string, wait time.Duration) error {
	_, err := c.do(ctx, call{
		method: http.MethodPost, path: c.environment("v4", "apis", id), wait: wait,
		query: waiting(url.Values{"action": {action}}, wait),
	})
	return err
}

// waiting asks the server to answer only when the workers are there, or after wait.
func waiting(query url.Values, wait time.Duration) url.Values {
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	return query
}

// Deploy makes the stored definition the one that workers get.
func (c *Client) Deploy(ctx context.Context, id, label string, wait time.Duration) error {
	cl := call{method: http.MethodPost, path: c.environment("v4", "apis", id, "deploy"), body: []byte(`{}`), wait: wait, query: waiting(url.Values{}, wait)}
	if label != "" {
		cl.body = encode(struct {
			Label string `json:"deploymentLabel"`
		}{label})
	}
	_, err := c.do(ctx, cl)
	return err
}

// Deployments tells what the workers serve of an API.
func (c *Client) Deployments(ctx context.Context, id string) (*Item[Deployment], error) {
	var d Item[Deployment]
	return &d, c.get(ctx, c.environment("v4", "apis", id, "deployments"), &d)
}

func (c *Client) get(ctx context.Context, path string, v any) error {
	r, err := c.do(ctx, call{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	return r.decode(v)
}
