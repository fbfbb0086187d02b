package controlplane

import (
	"context"
	"fmt"
	"reflect"
	"time"
)

// runner is a part that runs, and can be stopped on its own.
type runner struct {
	name   string
	cancel context.CancelFunc
	ended  chan error // one value
	err    error
	over   bool
}

func start(ctx context.Context, name string, run func(context.Context) error) *runner {
	ctx, cancel := context.WithCancel(ctx)
	r := &runner{name: name, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- run(ctx) }()
	return r
}

// stop ends the part and waits for it.
func (r *runner) stop() error {
	r.cancel()
	if !r.over {
		r.err, r.over = <-r.ended, true
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w", r.name, r.err)
	}
	return nil
}

// waitAny returns when ctx ends, or with an error when a part ends before.
func waitAny(ctx context.Context, runners []*runner) error {
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
	for _, r := range runners {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(r.ended)})
	}
	i, v, _ := reflect.Select(cases)
	if i == 0 {
		return nil
	}
	r := runners[i-1]
	r.over = true
	r.err, _ = v.Interface().(error)
	if r.err == nil {
		return fmt.Errorf("%s ended by itself", r.name)
	}
	return nil // stop tells it
}

// retryPause is the time between attempts to join.
const retryPause = time.Second

// pause waits a moment, or for news; it reports false when ctx has ended.
func pause(ctx context.Context, news <-chan struct{}) bool {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-news:
	}
	return true
}
