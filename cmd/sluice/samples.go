package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/cmd/internal/samples"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// sampleWait bounds how long one sample may take until the worker serves it.
const sampleWait = 20 * time.Second

// deploySamples creates, deploys and starts those samples that are not there yet, through the management API like
// anybody, and returns their names. It returns when the control plane takes requests, also where there are none.
func deploySamples(ctx context.Context, server, token string, wanted []samples.Sample) ([]string, error) {
	c, err := rest.New(rest.Config{Server: server, Token: token, Org: "DEFAULT", Env: "DEFAULT"})
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	stored, err := c.APIs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list APIs: %w", err)
	}
	for _, item := range stored {
		there[item.Value.Name] = true
	}
	var names []string
	for _, s := range wanted {
		doc, err := apidef.Decode(s.Definition)
		if err != nil {
			return nil, fmt.Errorf("sample %s: %w", s.Name, err)
		}
		if !there[doc.API.Name] { // a user's changes to a sample stay
			if err := deploySample(ctx, c, s); err != nil {
				return nil, fmt.Errorf("sample %s: %w", s.Name, err)
			}
		}
		names = append(names, s.Name)
	}
	return names, nil
}

func deploySample(ctx context.Context, c *rest.Client, s samples.Sample) error {
	api, err := c.Create(ctx, s.Definition)
	if err != nil {
		return err
	}
	if err := c.Deploy(ctx, api.Value.ID, "", sampleWait); err != nil {
		return err
	}
	return c.Start(ctx, api.Value.ID, sampleWait)
}
