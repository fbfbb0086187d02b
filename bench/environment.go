package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluice-gateway/sluice/bench/stack"
)

// start brings up what all groups share: topics, one control-plane node and one worker.
func (r *runner) start(ctx context.Context) (err error) {
	r.tell("starting")
	if r.kafka, err = newKafkaAdmin(ctx, r.o.Kafka, fmt.Sprintf("sluice-bench-%d-", os.Getpid())); err != nil {
		return err
	}
	r.pid = stack.Listener(r.o.Kafka[0])
	if r.stack, err = r.newStack(ctx, "main", 1); err != nil {
		return err
	}
	flags := []string{"--webhook-allow-cidr", "127.0.0.0/8"} // the receivers
	if r.o.Profiles != "" {
		flags = append(flags, "--profile-locks")
	}
	if r.worker, err = r.stack.AddWorker(ctx, flags...); err != nil {
		return err
	}
	if r.o.WarmUp > 0 {
		return r.warmBroker(ctx)
	}
	return nil
}

func (r *runner) newStack(ctx context.Context, name string, nodes int) (*stack.Stack, error) {
	dir := filepath.Join(r.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return stack.New(ctx, r.o.Self, dir, nodes)
}

func (r *runner) close() {
	if r.stack != nil {
		r.stack.Close()
	}
	r.kafka.close()
}

// serve deploys an API on the main stack and returns its id and its address.
func (r *runner) serve(ctx context.Context, a api) (id, url string, err error) {
	id, err = r.stack.Nodes[0].Deploy(ctx, a.definition())
	if err != nil {
		return "", "", fmt.Errorf("deploy %s: %w", a.path, err)
	}
	return id, r.worker.Gateway + a.path, nil
}

func (r *runner) workerPID() map[string]int { return map[string]int{costWorker: r.worker.PID()} }
