package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
)

// redeployEvery is the pause between two deployments of an API under load.
const redeployEvery = 250 * time.Millisecond

// redeploying deploys an API again and again until its context ends.
func (r *runner) redeploying(id string) during {
	return func(ctx context.Context) error {
		tick := time.NewTicker(redeployEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
			if err := r.stack.Nodes[0].Redeploy(ctx, id, "?wait=20s"); err != nil && ctx.Err() == nil {
				return fmt.Errorf("redeploy: %w", err)
			}
		}
	}
}

// both runs two things side by side, the second for as long as the first.
func both(a, b during) during {
	if b == nil {
		return a
	}
	return func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- b(ctx) }()
		err := a(ctx)
		stop()
		return errors.Join(err, <-ended)
	}
}

// redeployPost: POST while the API is deployed again and again: no request may fail.
func (r *runner) redeployPost(topic *string, job func(string) load.Job) *scenario {
	const name, path = "redeploy/http-post/kafka/auto", "/bench/redeploy/post"
	var id, url string
	return &scenario{name: name, title: "POST while the API is deployed four times a second", unit: PerSecond, against: glues, guess: r.o.Duration * 5 / 2,
		run: func(ctx context.Context) (_ Sample, err error) {
			if url == "" {
				if id, url, err = r.serve(ctx, api{path: path, entrypoint: "http-post", level: "auto", endpoint: "kafka", broker: r.onKafka(*topic)}); err != nil {
					return Sample{}, err
				}
			}
			j := job(*topic)
			j.URL = url
			return r.measure(ctx, j, r.workerPID(), r.redeploying(id))
		}}
}
