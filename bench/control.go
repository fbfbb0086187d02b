package bench

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/stack"
)

// fewAPIs is what routing among many APIs is compared with.
const fewAPIs = 10

// creating is how many APIs are created at a time.
const creating = 16

// routePath has a place for the number of an API.
const routePath = "/bench/route/%d"

func route(i int) api {
	return api{path: fmt.Sprintf(routePath, i), entrypoint: "http-post", level: "auto", endpoint: "mock", broker: object{}}
}

// controlPlane: a change among many APIs until all workers serve it, and what so many cost a request.
func (r *runner) controlPlane() *group {
	var many *stack.Stack
	var ids []string
	g := &group{name: "control plane", end: func() {
		if many != nil {
			many.Close()
		}
	}}
	g.prepare = func(ctx context.Context) (err error) {
		if many, err = r.newStack(ctx, "many", 1); err != nil {
			return err
		}
		if ids, err = create(ctx, many.Nodes[0], r.o.APIs); err != nil {
			return err
		}
		for range r.o.Workers {
			if _, err := many.AddWorker(ctx); err != nil {
				return err
			}
		}
		_, err = create(ctx, r.stack.Nodes[0], fewAPIs)
		return err
	}
	requests := func(w func() *stack.Worker, paths int) func(context.Context) (Sample, error) {
		return func(ctx context.Context) (Sample, error) {
			job := load.Job{Do: load.Requests, URL: w().Gateway + routePath, Paths: paths, Clients: r.o.Clients, Size: load.StampSize, Warm: r.o.Duration / 5, For: r.o.Duration}
			return r.measure(ctx, job, map[string]int{"worker": w().PID()}, nil)
		}
	}
	few := fmt.Sprintf("limit/routing/%d", fewAPIs)
	changes := 0
	g.cases = []*scenario{
		{name: fmt.Sprintf("push/%d-apis/%d-workers", r.o.APIs, r.o.Workers), title: fmt.Sprintf("one change among %d APIs until %d workers serve it", r.o.APIs, r.o.Workers), unit: Millis, guess: time.Second,
			run: func(ctx context.Context) (Sample, error) {
				changes++
				return push(ctx, many.Nodes[0], ids[changes%len(ids)], changes%len(ids))
			}},
		{name: few, title: fmt.Sprintf("POST to mock among %d APIs", fewAPIs), unit: PerSecond, limit: true, guess: r.o.Duration * 3 / 2,
			run: requests(func() *stack.Worker { return r.worker }, fewAPIs)},
		{name: fmt.Sprintf("routing/%d", r.o.APIs), title: fmt.Sprintf("POST to mock among %d APIs", r.o.APIs), unit: PerSecond, against: []string{few}, guess: r.o.Duration * 3 / 2,
			run: requests(func() *stack.Worker { return many.Workers[0] }, r.o.APIs)},
	}
	return g
}

// push changes an API and waits until every worker reports that it serves the change.
func push(ctx context.Context, node *stack.Node, id string, i int) (Sample, error) {
	a := route(i)
	a.broker = object{"headers": []object{{"name": "changed", "value": time.Now().Format(time.RFC3339Nano)}}}
	start := time.Now()
	if err := node.Update(ctx, id, a.definition()); err != nil {
		return Sample{}, err
	}
	if err := node.Deploy(ctx, id, "?wait=30s"); err != nil {
		return Sample{}, err
	}
	s := Sample{Value: float64(time.Since(start).Microseconds()) / 1000}
	s.Messages, s.Sent, s.Delivered = 1, 1, 1
	return s, nil
}

// create stores, deploys and starts n APIs.
func create(ctx context.Context, node *stack.Node, n int) ([]string, error) {
	ids := make([]string, n)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(creating, n) {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				var err error
				if ids[i], err = node.Create(ctx, route(i).definition()); err == nil {
					if err = node.Deploy(ctx, ids[i], ""); err == nil {
						err = node.Start(ctx, ids[i], "")
					}
				}
				if err != nil {
					cancel(fmt.Errorf("API %d of %d: %w", i+1, n, err))
				}
			}
		})
	}
	wg.Wait()
	return ids, context.Cause(ctx)
}

// failover: kill -9 the leader of three control-plane nodes, and write through the others without pause until a write is accepted.
func (r *runner) failover() *group {
	var three *stack.Stack
	rounds := 0
	return &group{name: "failover",
		prepare: func(ctx context.Context) (err error) {
			three, err = r.newStack(ctx, "three", 3)
			return err
		},
		end: func() {
			if three != nil {
				three.Close()
			}
		},
		cases: []*scenario{{name: "failover/3-nodes", title: "leader of three killed, until a write is accepted", unit: Millis, guess: 5 * time.Second, run: func(ctx context.Context) (Sample, error) {
			rounds++
			return kill(ctx, three, rounds)
		}}}}
}

func kill(ctx context.Context, s *stack.Stack, round int) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	lead, err := s.Leader(ctx)
	if err != nil {
		return Sample{}, err
	}
	lead.Kill()
	killed := time.Now()
	for n := 0; ; n++ {
		node := s.Nodes[n%len(s.Nodes)]
		if node == lead {
			continue
		}
		if status, _, err := node.Do(ctx, http.MethodPost, "/v4/apis/", route(round).definition()); err == nil && status == http.StatusCreated {
			break
		}
		if err := ctx.Err(); err != nil {
			return Sample{}, fmt.Errorf("no write is accepted: %w", err)
		}
	}
	took := time.Since(killed)
	sample := Sample{Value: float64(took.Microseconds()) / 1000}
	sample.Messages, sample.Sent, sample.Delivered = 1, 1, 1
	return sample, s.Restart(ctx, lead)
}
