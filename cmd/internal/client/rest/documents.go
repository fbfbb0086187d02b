package rest

import (
	"context"
	"net/http"
	"net/url"
)

// DocumentOptions say how an API is described.
type DocumentOptions struct {
	Gateway string // the URL of the workers; empty: variables
	Draft   bool   // the stored definition, not the deployed one
}

// Document is the document of a kind, asyncapi or openapi, as JSON.
func (c *Client) Document(ctx context.Context, api, kind string, o DocumentOptions) ([]byte, error) {
	query := url.Values{}
	if o.Gateway != "" {
		query.Set("gateway", o.Gateway)
	}
	if o.Draft {
		query.Set("draft", "true")
	}
	r, err := c.do(ctx, call{method: http.MethodGet, path: c.environment("v4", "apis", api, kind), query: query})
	if err != nil {
		return nil, err
	}
	return r.body, nil
}
