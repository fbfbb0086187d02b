package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/stack"
)

// idle: what a connection costs that nothing comes over, in memory of a worker that has served nothing else. The workers are of a
// control plane of their own: one that comes and goes would take its part of what others measure.
func (r *runner) idle() *group {
	var topic string
	var own *stack.Stack
	g := &group{name: "idle", prepare: func(ctx context.Context) (err error) {
		if topic, err = r.kafka.topic(ctx, "idle"); err != nil {
			return err
		}
		own, err = r.newStack(ctx, "idle", 1)
		return err
	}, end: func() {
		if own != nil {
			own.Close()
		}
	}}
	for _, entrypoint := range []string{"sse", "websocket"} {
		name, form := fmt.Sprintf("idle/%s/%d", entrypoint, r.o.Idle), load.SSE
		if entrypoint == "websocket" {
			form = load.WebSocket
		}
		path := "/bench/idle/" + entrypoint
		served := false
		g.cases = append(g.cases, &scenario{name: name, title: fmt.Sprintf("worker memory, %d idle %s connections", r.o.Idle, entrypoint), unit: BytesEach,
			guess: time.Duration(r.o.Idle/2000+4) * time.Second, run: func(ctx context.Context) (_ Sample, err error) {
				ctx, cancel := context.WithTimeout(ctx, within)
				defer cancel()
				w, err := own.AddWorker(ctx)
				if err != nil {
					return Sample{}, err
				}
				defer func() { err = errors.Join(err, w.Stop(leaving)) }()
				if !served {
					a := api{path: path, entrypoint: entrypoint, level: "auto", endpoint: "kafka", broker: r.onKafka(topic)}
					if _, err := own.Nodes[0].Deploy(ctx, a.definition()); err != nil {
						return Sample{}, fmt.Errorf("deploy %s: %w", path, err)
					}
					served = true
				}
				return r.holding(ctx, w, path, form)
			}})
	}
	return g
}

// leaving is how long a worker is given to end; it says good-bye then, and no deployment waits for it.
const leaving = 30 * time.Second

// holding opens idle connections to a worker, in two halves, and takes its memory before, between and after: what each of the
// second half took is what each further one takes.
func (r *runner) holding(ctx context.Context, w *stack.Worker, path, form string) (Sample, error) {
	var children []*stack.Child
	defer func() {
		for _, c := range children {
			c.Close()
		}
	}()
	half := max(r.o.Idle/2, 1)
	var memory []float64
	for _, n := range []int{1, half, half} { // the first connection starts what all share: a reader, its buffers
		c, err := stack.StartChild(r.o.Self, load.Job{Do: load.Idle, Form: form, URL: w.Gateway + path, Clients: n, Sources: n/perSource + 1, Live: true})
		if err != nil {
			return Sample{}, err
		}
		children = append(children, c)
		if _, err := c.Await(ctx, load.Ready); err != nil {
			return Sample{}, err
		}
		m, err := settled(ctx, w)
		if err != nil {
			return Sample{}, err
		}
		memory = append(memory, float64(m))
	}
	var s Sample
	for _, c := range children[1:] {
		if err := c.Go(); err != nil {
			return Sample{}, err
		}
		e, err := c.Await(ctx, "done")
		if err != nil {
			return Sample{}, err
		}
		var out load.Outcome
		if err := json.Unmarshal(e.Done, &out); err != nil {
			return Sample{}, fmt.Errorf("read a child's outcome: %w", err)
		}
		s.Sent, s.Delivered, s.Lost = s.Sent+out.Sent, s.Delivered+out.Delivered, s.Lost+out.Lost
	}
	s.Messages = s.Delivered
	s.Value, s.Slope = (memory[2]-memory[0])/float64(2*half), (memory[2]-memory[1])/float64(half)
	s.Cost = map[string]Cost{costWorker: {Memory: int64(memory[2])}}
	return s, nil
}

// Bounds of settled: how often memory is looked at, how often in turn it must not have fallen, and how often at most.
const (
	lookEvery = 500 * time.Millisecond
	still     = 3
	mostLooks = 40
)

// settled is a worker's resident memory when collections make it no smaller: what was freed goes back to the system little by little.
func settled(ctx context.Context, w *stack.Worker) (least int64, err error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for look, same := 0, 0; look < mostLooks && same < still; look++ {
		if err := collect(ctx, w); err != nil {
			return 0, err
		}
		m := stack.CostOf(w.PID()).Memory
		const page = 4 << 10
		if same++; least == 0 || m < least-16*page {
			least, same = m, 0
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return least, nil
}

// collect has a worker collect its garbage.
func collect(ctx context.Context, w *stack.Worker) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Admin+"/_node/debug/pprof/heap?gc=1&debug=1", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the worker's heap: %s", res.Status)
	}
	return nil
}
