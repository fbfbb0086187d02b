package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/stack"
	"github.com/sluice-gateway/sluice/qos"
)

// limitCaller is a plain client that posts the same to the same receiver, with as many calls at a time as a delivery has.
const limitCaller = "limit/webhook-calls"

// hookConcurrency is how many calls of a delivery are under way at a time: its default (docs/webhook.md).
const hookConcurrency = 64

// hookKeys is how many keys the messages have in turn: those of one key are delivered one after the other.
const hookKeys = 1000

// hookShare is the part of a backlog that is delivered to webhooks, a call each.
const hookShare = 10

// webhooks: a delivery to one receiver, of a backlog where the endpoint has one, else of what is published after it began.
func (r *runner) webhooks() *group {
	var backlog string
	total := max(r.o.Messages/hookShare, 1)
	g := &group{name: "webhooks", prepare: func(ctx context.Context) (err error) {
		if backlog, err = r.kafka.topic(ctx, "hooks"); err != nil {
			return err
		}
		return r.producing(load.Job{Brokers: r.o.Kafka, Topic: backlog, Size: r.o.Size, Total: total, Keys: hookKeys})(ctx)
	}}
	took := time.Duration(total/5000+3) * time.Second
	g.cases = []*scenario{{name: limitCaller, title: "fasthttp's client posting the same to the receiver", unit: PerSecond, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
		return r.calling(ctx, load.Job{Do: load.Post, Clients: hookConcurrency, Size: r.o.Size, Total: total})
	}}}
	for _, c := range r.cells("webhook", "webhook-advanced") {
		g.cases = append(g.cases, r.webhook(c, &backlog, total, took))
	}
	return g
}

// calling has a plain client post to the receiver; the receiver measures, as it does for Sluice.
func (r *runner) calling(ctx context.Context, job load.Job) (Sample, error) {
	addr, err := stack.FreeAddr()
	if err != nil {
		return Sample{}, err
	}
	job.URL = "http://" + addr + "/"
	caller, err := stack.StartChild(r.o.Self, job)
	if err != nil {
		return Sample{}, err
	}
	defer caller.Close()
	return r.measure(ctx, load.Job{Do: load.Receive, Listen: addr, Total: job.Total}, map[string]int{costLimit: caller.PID()}, func(ctx context.Context) error {
		if _, err := caller.Await(ctx, load.Ready); err != nil {
			return err
		}
		if err := caller.Go(); err != nil {
			return err
		}
		if _, err := caller.Await(ctx, "done"); err != nil && ctx.Err() == nil {
			return err
		}
		return nil // the receiver may have all before the caller knows
	})
}

func (r *runner) webhook(c qos.Cell, backlog *string, total int64, took time.Duration) *scenario {
	name := nameOf(c)
	s := &scenario{name: name, title: c.Endpoint + " to one receiver, " + c.Level.String(), unit: PerSecond, against: []string{limitCaller}, guess: took}
	h := hook{r: r, cell: c, total: total, topic: "bench/hooks/" + name}
	s.run = func(ctx context.Context) (Sample, error) {
		if isKafka(c) && c.Level != qos.None {
			h.topic = *backlog
		}
		if err := h.deploy(ctx); err != nil {
			return Sample{}, err
		}
		addr, err := stack.FreeAddr()
		if err != nil {
			return Sample{}, err
		}
		h.runs++
		job := load.Job{Do: load.Receive, Listen: addr, Total: total, Same: isMock(c)}
		r.mayLose(c, &job)
		return r.measure(ctx, job, r.workerPID(), h.deliver("http://"+addr+"/"))
	}
	return s
}

// hook is the API of one cell, and its subscriptions.
type hook struct {
	r     *runner
	cell  qos.Cell
	topic string
	total int64
	id    string
	runs  int
}

func (h *hook) deploy(ctx context.Context) (err error) {
	if h.id != "" {
		return nil
	}
	var broker object
	switch c := h.cell; {
	case isMock(c):
		broker = h.r.onMock(h.total)
	case isMQTT(c):
		broker = h.r.onMQTT(h.topic)
	default:
		if c.Level == qos.None {
			if h.topic, err = h.r.kafka.topic(ctx, strings.ReplaceAll(nameOf(c), "/", "-")); err != nil {
				return err
			}
		}
		broker = h.r.onKafka(h.topic)
		broker["consumer"] = object{"enabled": true, "autoOffsetReset": "earliest"}
	}
	definition, err := json.Marshal(object{
		"name": "bench " + nameOf(h.cell), "apiVersion": "1", "definitionVersion": "4.0.0", "type": "message",
		"listeners":      []object{{"type": "subscription", "entrypoints": []object{{"type": h.cell.Entrypoint, "qos": h.cell.Level.String()}}}},
		"endpointGroups": []object{{"name": "g", "type": h.cell.Endpoint, "endpoints": []object{{"name": "e", "type": h.cell.Endpoint, "configuration": broker}}}},
		"plans":          []object{{"id": h.plan(), "name": "push", "mode": "push", "validation": "auto", "status": "published"}},
	})
	if err != nil {
		return err
	}
	h.id, err = h.r.stack.Nodes[0].Deploy(ctx, definition)
	return err
}

func (h *hook) plan() string { return strings.ReplaceAll("push-"+nameOf(h.cell), "/", "-") }

// deliver makes a subscription to the receiver, publishes where there is no backlog, and closes the subscription at the end.
func (h *hook) deliver(url string) during {
	return func(ctx context.Context) error {
		if err := h.r.subscribed(ctx, h.id, 0); err != nil { // that of the repetition before
			return err
		}
		path := "/v4/apis/" + h.id + "/subscriptions"
		id := identifier(h.plan(), h.runs)
		body, err := json.Marshal(object{"id": id, "planId": h.plan(), "consumerConfiguration": object{"entrypointId": h.cell.Entrypoint, "entrypointConfiguration": object{"callbackUrl": url}}})
		if err != nil {
			return err
		}
		if err := h.call(ctx, http.MethodPost, path, body); err != nil {
			return err
		}
		if live := h.live(); live != nil {
			err = live(ctx)
		}
		<-ctx.Done() // the receiver has all, or gave up
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if closed := h.call(closing, http.MethodPost, path+"/"+id+"/_close", nil); err == nil {
			err = closed
		}
		return err
	}
}

// live publishes what the delivery is to get, where nothing waits for it, once the delivery stands at the live end;
// nil: something waits.
func (h *hook) live() during {
	job := load.Job{Total: h.total, Size: h.r.o.Size, Keys: hookKeys}
	switch {
	case isMQTT(h.cell):
		job = h.r.onTopic(h.topic, job)
	case isKafka(h.cell) && h.cell.Level == qos.None:
		job.Brokers, job.Topic = h.r.o.Kafka, h.topic
	default:
		return nil
	}
	return func(ctx context.Context) error {
		if err := h.r.subscribed(ctx, h.id, 1); err != nil {
			return err
		}
		return h.r.producing(job)(ctx)
	}
}

func (h *hook) call(ctx context.Context, method, path string, body []byte) error {
	a, err := h.r.stack.Nodes[0].Do(ctx, method, path, body)
	if err == nil && a.Status/100 != 2 {
		err = fmt.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	return err
}

// identifier names a client of one repetition, so that it finds no position of an earlier one.
func identifier(name string, run int) string {
	return fmt.Sprintf("%s-%d-%d", strings.ReplaceAll(name, "/", "-"), run, time.Now().UnixNano())
}
