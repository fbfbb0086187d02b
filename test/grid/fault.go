package grid

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/test/process"
)

// Fault is what goes wrong while messages flow.
type Fault struct {
	Name string
	Text string // for people
	// applies tells whether the fault can happen to a cell; nil: to any.
	applies func(Cell) bool
	// inflict does it, from the first message to the last, when flow ends, and heals it under ctx: what it returns after
	// works again. nil: it is a matter of the clients.
	inflict func(ctx, flow context.Context, b *batch) error
	prepare func(*run)
}

// Faults returns all of them, in the order of reports.
func Faults() []Fault {
	return []Fault{
		{Name: Without, Text: "nothing goes wrong"},
		{Name: "kill-worker", Text: "kill -9 of one of two workers, in turn, every 3 s; it is started again", applies: outlivesWorkers, inflict: killWorkers},
		{Name: "broker-restart", Text: "kill -9 of the broker, started again on its data (Mosquitto, which acknowledges before it saves, is asked to end)", applies: hasBroker, inflict: restartBroker},
		{Name: "resume-elsewhere", Text: "the client disconnects again and again and goes on at the other worker",
			applies: func(c Cell) bool { return !c.pushes() && outlivesWorkers(c) },
			prepare: func(r *run) { r.leave = max(r.messages/leaves, 1) }},
		{Name: "slow-client", Text: "the client reads slower than messages come, until the last is written; a webhook's receiver is slow and answers every hundredth call with 503 (mock gives so little that the kernel holds it: a slow reader, no pressure)", applies: subscribes,
			prepare: func(r *run) { r.slow.Store(true); r.size = max(slowTotal/r.messages, r.size) }},
		{Name: "rebalance", Text: "a second client of the same identity joins and leaves, twice",
			applies: func(c Cell) bool { return subscribes(c) && hasBroker(c) && !c.pushes() && c.Client != Anonymous }, inflict: members,
			prepare: func(r *run) { r.members = true }},
		{Name: "control-plane-away", Text: "kill -9 of the control plane, started again when the last message is written", inflict: leaveAlone},
	}
}

// Applies tells whether the fault can happen to a cell, and is tried there: advanced names are the same connectors under
// another name, and are tried without faults only.
func (f Fault) Applies(c Cell) bool {
	return (f.applies == nil || f.applies(c)) && (!c.advanced() || f.Name == Without)
}

// Without is the name of the fault that is none.
const Without = "none"

// outlivesWorkers tells whether somebody but a worker knows how far a client is. What mock knows of a client is in the
// memory of one worker, so that there only a client that knows itself, or one to which nothing is promised, may meet another.
func outlivesWorkers(c Cell) bool {
	switch {
	case hasBroker(c) || c.Direction == Publish || c.Client == Anonymous:
		return true
	case c.Entrypoint == "http-get":
		return c.level() != qos.AtMostOnce
	}
	return !c.counted() && !c.pushes()
}

func hasBroker(c Cell) bool  { return c.Endpoint != "mock" }
func subscribes(c Cell) bool { return c.Direction == Subscribe }

// leaves is how often a client leaves, about, where the fault is that it does.
const leaves = 10

// slowTotal is how many bytes a slow client is sent at least: more than the kernel's buffers and the ring hold.
const slowTotal = 16 << 20

// killEvery is the pause between two kills of a worker.
const killEvery = 3 * time.Second

// errNothing says that a run ended before its fault came.
var errNothing = errors.New("the messages were through before the fault came; give the run more time")

func killWorkers(ctx, flow context.Context, b *batch) error {
	for n := 0; ; n++ {
		if pause(flow, min(killEvery, b.span/3)); flow.Err() != nil {
			if n == 0 {
				return errNothing
			}
			return nil
		}
		w := b.world.cluster.Workers[n%workers]
		w.Kill()
		if err := w.Restart(); err != nil {
			return err
		}
		if err := w.AwaitReady(ctx); err != nil {
			return err
		}
	}
}

// restartBroker restarts every broker once.
func restartBroker(ctx, flow context.Context, b *batch) error {
	if pause(flow, b.span/3); flow.Err() != nil {
		return errNothing
	}
	done := map[any]bool{}
	for _, r := range b.runs {
		broker := b.world.brokers[r.cell.Endpoint]
		if done[broker.server()] {
			continue
		}
		done[broker.server()] = true
		if err := broker.restart(ctx); err != nil {
			return fmt.Errorf("restart the broker of %s: %w", r.cell.Endpoint, err)
		}
	}
	return nil
}

func members(_, flow context.Context, b *batch) error {
	for n := range 2 {
		if pause(flow, b.span/5); flow.Err() != nil {
			if n == 0 {
				return errNothing
			}
			return nil
		}
		join, leave := context.WithCancel(flow)
		left := make(chan error, len(b.runs))
		for _, r := range b.runs {
			go func() { left <- r.member(join) }()
		}
		pause(flow, b.span/5)
		leave()
		var err error
		for range b.runs {
			err = errors.Join(err, <-left)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func leaveAlone(ctx, flow context.Context, b *batch) error {
	if pause(flow, b.span/5); flow.Err() != nil {
		return errNothing
	}
	node := b.world.node()
	node.Kill()
	<-flow.Done()
	if err := node.Restart(); err != nil {
		return err
	}
	healthy, cancel := context.WithTimeout(ctx, process.Within)
	defer cancel()
	return node.AwaitHealthy(healthy)
}
