package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/stack"
)

// idle: what a connection costs that nothing comes over, in memory of a worker that has served nothing else.
func (r *runner) idle() *group {
	var topic string
	g := &group{name: "idle", prepare: func(ctx context.Context) (err error) {
		topic, err = r.kafka.topic(ctx, "idle")
		return err
	}}
	for _, entrypoint := range []string{"sse", "websocket"} {
		name, form := fmt.Sprintf("idle/%s/%d", entrypoint, r.o.Idle), load.SSE
		if entrypoint == "websocket" {
			form = load.WebSocket
		}
		path := "/bench/idle/" + entrypoint
		served := false
		g.cases = append(g.cases, &scenario{name: name, title: fmt.Sprintf("worker memory, %d idle %s connections", r.o.Idle, entrypoint), unit: BytesEach,
			guess: time.Duration(r.o.Idle/2000+4) * time.Second, run: func(ctx context.Context) (Sample, error) {
				if !served {
					if _, _, err := r.serve(ctx, api{path: path, entrypoint: entrypoint, level: "auto", endpoint: "kafka", broker: r.onKafka(topic)}); err != nil {
						return Sample{}, err
					}
					served = true
				}
				return r.holding(ctx, path, form)
			}})
	}
	return g
}

// holding opens idle connections to a new worker and takes its memory before and after.
func (r *runner) holding(ctx context.Context, path, form string) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	w, err := r.stack.AddWorker(ctx)
	if err != nil {
		return Sample{}, err
	}
	defer func() {
		w.Kill()
		r.stack.Workers = r.stack.Workers[:len(r.stack.Workers)-1]
	}()
	job := load.Job{Do: load.Idle, Form: form, URL: w.Gateway + path, Clients: 1, Live: true}
	one, err := stack.StartChild(r.o.Self, job) // the first connection starts what all share: a reader, its buffers
	if err != nil {
		return Sample{}, err
	}
	defer one.Close()
	if _, err := one.Await(ctx, load.Ready); err != nil {
		return Sample{}, err
	}
	before, err := settled(ctx, w)
	if err != nil {
		return Sample{}, err
	}
	job.Clients, job.Sources = r.o.Idle, r.o.Idle/perSource+1
	all, err := stack.StartChild(r.o.Self, job)
	if err != nil {
		return Sample{}, err
	}
	defer all.Close()
	if _, err := all.Await(ctx, load.Ready); err != nil {
		return Sample{}, err
	}
	after, err := settled(ctx, w)
	if err != nil {
		return Sample{}, err
	}
	if err := all.Go(); err != nil {
		return Sample{}, err
	}
	if _, err := all.Await(ctx, "done"); err != nil {
		return Sample{}, err
	}
	s := Sample{Value: float64(after-before) / float64(r.o.Idle), Cost: map[string]Cost{"worker": {Memory: after}}}
	s.Sent, s.Delivered, s.Messages = int64(r.o.Idle), int64(r.o.Idle), int64(r.o.Idle)
	return s, nil
}

// settled is a worker's resident memory after a collection.
func settled(ctx context.Context, w *stack.Worker) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Admin+"/_node/debug/pprof/heap?gc=1&debug=1", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+w.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the worker's heap: %s", res.Status)
	}
	return stack.CostOf(w.PID()).Memory, nil
}
