package bench

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
)

// document is the schema of a run's messages.
const document = `{"type":"object","required":["m"],"properties":{"m":{"type":"string","minLength":32}}}`

// five are typical policies of one path: a header and an attribute that hold something of the message, a filter, a validation.
func five(phase string) []object {
	step := func(policy string, configuration object) object {
		return object{"name": policy, "enabled": true, "policy": policy, "configuration": configuration}
	}
	return []object{{"name": "five policies", "enabled": true, "selectors": []object{{"type": "CHANNEL", "channel": "/", "channelOperator": "STARTS_WITH"}}, phase: []object{
		step("policy-assign-attributes", object{"attributes": []object{{"name": "kind", "value": "measured"}}}),
		step("message-filtering", object{"filter": "{#message.content != 'secret'}"}),
		step("json-validation", object{"schema": document}),
		step("transform-headers", object{"addHeaders": []object{{"name": "X-Kind", "value": "{#message.attributes['kind']}"}}}),
		step("transform-headers", object{"removeHeaders": []string{"X-Internal"}}),
	}}}
}

// policies: what five of them on the path cost, against the same API without.
func (r *runner) policies() *group {
	var post, backlog string
	g := &group{name: "policies", prepare: func(ctx context.Context) (err error) {
		if post, err = r.kafka.topic(ctx, "policies-post"); err != nil {
			return err
		}
		if backlog, err = r.kafka.topic(ctx, "policies-drain"); err != nil {
			return err
		}
		return r.producing(load.Job{Brokers: r.o.Kafka, Topic: backlog, Size: r.o.Size, Total: r.o.Messages, JSON: true})(ctx)
	}}
	posting := func() (string, load.Job) {
		return post, load.Job{Do: load.Post, Clients: r.o.Clients, Size: r.o.Size, Warm: r.o.Duration / 5, For: r.o.Duration, Brokers: r.o.Kafka, Topic: post, JSON: true}
	}
	draining := func() (string, load.Job) {
		return backlog, load.Job{Do: load.Stream, Form: load.SSE, Clients: 1, Total: r.o.Messages}
	}
	add := func(entrypoint, title, phase string, job func() (string, load.Job)) {
		without := "limit/policies/" + entrypoint
		for _, c := range []*scenario{
			{name: without, title: title + " without policies", limit: true},
			{name: "policies/" + entrypoint + "/kafka/auto", title: title + " through five policies", against: []string{without}},
		} {
			var url string
			c.unit, c.guess = PerSecond, r.o.Duration*3/2+time.Second
			c.run = func(ctx context.Context) (_ Sample, err error) {
				topic, j := job()
				if url == "" {
					a := api{path: "/bench/" + c.name, entrypoint: entrypoint, level: "auto", endpoint: "kafka", broker: r.onKafka(topic)}
					if !c.limit {
						a.flows = five(phase)
					}
					if _, url, err = r.serve(ctx, a); err != nil {
						return Sample{}, err
					}
				}
				if j.URL = url; j.Do == load.Stream {
					j.URL += "?from=earliest"
				}
				return r.measure(ctx, j, r.workerPID(), nil)
			}
			g.cases = append(g.cases, c)
		}
	}
	add("http-post", "POST to Kafka", "publish", posting)
	add("sse", "Kafka to one SSE client", "subscribe", draining)
	return g
}
