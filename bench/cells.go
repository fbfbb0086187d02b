package bench

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench/limit"
	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/qos"
)

// groups are all scenarios, in the order in which they are measured.
func (r *runner) groups() []*group {
	return []*group{r.publish(), r.publishMQTT(), r.drain(), r.fed(), r.live(), r.fromMQTT(), r.liveMQTT(), r.webhooks(),
		r.fanOut(load.SSE), r.fanOut(load.WebSocket), r.policies(), r.idle(), r.controlPlane(), r.failover()}
}

// cells are the served cells of the matrix with one of the entrypoints.
func (r *runner) cells(entrypoints ...string) (out []qos.Cell) {
	for _, entrypoint := range entrypoints {
		for _, endpoint := range qos.Endpoints() {
			if !r.o.Aliases && (isAlias(entrypoint) || isAlias(endpoint)) {
				continue
			}
			for _, level := range qos.Levels() {
				if c := qos.Lookup(entrypoint, endpoint, level); c.Origin != qos.Refused {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// isAlias tells whether a type is another name of the one without the ending.
func isAlias(name string) bool { return strings.HasSuffix(name, "-advanced") }

func nameOf(c qos.Cell) string {
	return strings.Join([]string{c.Entrypoint, c.Endpoint, c.Level.String()}, "/")
}

func isKafka(c qos.Cell) bool { return c.Endpoint == "kafka" || c.Endpoint == "kafka-advanced" }
func isMock(c qos.Cell) bool  { return c.Endpoint == "mock" }

// Names of limits.
const (
	limitHTTP       = "limit/fasthttp"
	limitProduce    = "limit/produce"
	limitGlue       = "limit/glue"
	limitGlueLinger = "limit/glue-linger"
	limitGlueSingle = "limit/glue-single"
	limitConsume    = "limit/consume"
	limitSSE        = "limit/sse"
	limitWebSocket  = "limit/websocket"
	limitFetch      = "limit/consume-live"
	limitFeed       = "limit/feed" // the broker is slower than any writer to one client
)

// glueLinger is how long the second glue gathers records: of 0.2, 0.5, 1 and 2 ms the best, with 64 callers (bench/README.md).
const glueLinger = 500 * time.Microsecond

// glues are what publishing to Kafka is held against: the best of them counts.
var glues = []string{limitGlue, limitGlueLinger, limitGlueSingle}

// publish: POST, answered as the level says, against the same without Sluice.
func (r *runner) publish() *group {
	var glued, post string // topics
	rate := r.o.Rate
	g := &group{name: "publish", prepare: func(ctx context.Context) (err error) {
		if glued, err = r.kafka.topic(ctx, "glue"); err != nil {
			return err
		}
		if post, err = r.kafka.topic(ctx, "post"); err != nil || !r.o.HalfLoad || r.o.Unlimited {
			return err
		}
		rate, err = r.halfLoad(ctx, glued)
		return err
	}}
	job := func(topic string) load.Job {
		return load.Job{Do: load.Post, Clients: r.o.Clients, Size: r.o.Size, Warm: r.o.Duration / 5, For: r.o.Duration, Rate: rate, Brokers: r.o.Kafka, Topic: topic}
	}
	took := r.o.Duration*5/2 + time.Second
	glue := func(linger time.Duration, single bool) func(context.Context) (Sample, error) {
		return func(ctx context.Context) (Sample, error) {
			return r.limited(load.Job{Do: limit.Glue, Brokers: r.o.Kafka, Topic: glued, Linger: linger, Single: single}, job(glued))(ctx)
		}
	}
	g.cases = []*scenario{
		{name: limitHTTP, title: "fasthttp answering 202, no broker", unit: PerSecond, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
			return r.limited(load.Job{Do: limit.HTTP}, job(""))(ctx)
		}},
		{name: limitProduce, title: "franz-go producing alone, callers waiting", unit: PerSecond, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
			j := job(glued)
			j.Do, j.Rate = load.Produce, 0
			return r.measure(ctx, j, nil, nil)
		}},
		{name: limitGlue, title: "fasthttp and franz-go glued by hand, no linger", unit: PerSecond, limit: true, guess: took, run: glue(0, false)},
		{name: limitGlueLinger, title: "the same, lingering 500 µs", unit: PerSecond, limit: true, guess: took, run: glue(glueLinger, false)},
		{name: limitGlueSingle, title: "the same, one request in flight, not idempotent", unit: PerSecond, limit: true, guess: took, run: glue(0, true)},
	}
	for _, c := range r.cells("http-post") {
		s := &scenario{name: nameOf(c), title: "POST to " + c.Endpoint + ", " + c.Level.String(), unit: PerSecond, against: glues, guess: took}
		a := api{path: "/bench/" + s.name, entrypoint: c.Entrypoint, level: c.Level.String(), endpoint: c.Endpoint}
		switch {
		case isMock(c):
			s.against = []string{limitHTTP}
			a.broker = object{}
		case !isKafka(c):
			continue
		}
		var url string
		s.run = func(ctx context.Context) (_ Sample, err error) {
			j := job(post)
			if isMock(c) {
				j.Topic = ""
			} else {
				a.broker = r.onKafka(post)
			}
			if url == "" {
				if _, url, err = r.serve(ctx, a); err != nil {
					return Sample{}, err
				}
			}
			j.URL = url
			sample, err := r.measure(ctx, j, r.workerPID(), nil)
			if c.Level == qos.None {
				sample.Lost = 0 // 202 promises nothing more than the buffer
			}
			return sample, err
		}
		g.cases = append(g.cases, s)
	}
	return g.with(r.redeployPost(&post, job))
}

// halfLoad is half of what the best glue takes, at which the latency of all is comparable and none is overrun.
func (r *runner) halfLoad(ctx context.Context, topic string) (rate float64, err error) {
	for _, server := range []load.Job{{}, {Linger: glueLinger}, {Single: true}} {
		server.Do, server.Brokers, server.Topic = limit.Glue, r.o.Kafka, topic
		s, err := r.limited(server, load.Job{Do: load.Post, Clients: r.o.Clients, Size: r.o.Size, Warm: r.o.Duration / 5, For: r.o.Duration / 2})(ctx)
		if err != nil {
			return 0, err
		}
		rate = max(rate, s.PerSecond()/2)
	}
	return rate, nil
}

func (g *group) with(s ...*scenario) *group {
	g.cases = append(g.cases, s...)
	return g
}

// perPage is how many messages a page holds: the default of http-get.
const perPage = 500

// drain: one client takes a backlog.
func (r *runner) drain() *group {
	var topic string
	g := &group{name: "drain", prepare: func(ctx context.Context) (err error) {
		topic, err = r.fill(ctx, "drain")
		return err
	}}
	took := time.Duration(r.o.Messages/200_000+1) * 2 * time.Second
	frames := func(form string) func(context.Context) (Sample, error) {
		return r.limited(load.Job{Do: limit.Frames, Form: form, Clients: 1, Size: r.o.Size, Total: r.o.Messages},
			load.Job{Do: load.Stream, Form: form, Clients: 1, Total: r.o.Messages})
	}
	g.cases = []*scenario{
		{name: limitConsume, title: "franz-go consuming alone", unit: PerSecond, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
			return r.measure(ctx, load.Job{Do: load.Consume, Brokers: r.o.Kafka, Topic: topic, Total: r.o.Messages}, nil, nil)
		}},
		{name: limitSSE, title: "prepared events to one client", unit: PerSecond, limit: true, guess: took, run: frames(load.SSE)},
		{name: limitWebSocket, title: "prepared WebSocket frames to one client", unit: PerSecond, limit: true, guess: took, run: frames(load.WebSocket)},
	}
	for _, c := range r.cells("http-get", "sse", "sse-advanced", "websocket") {
		if s := r.drains(c, &topic, took); s != nil {
			g.cases = append(g.cases, s)
		}
	}
	return g
}

// drains is the scenario of one cell; nil: it has no backlog to drain.
func (r *runner) drains(c qos.Cell, topic *string, took time.Duration) *scenario {
	job := load.Job{Do: load.Stream, Form: formOf(c), Clients: 1, Total: r.o.Messages, Same: isMock(c)}
	s := &scenario{name: nameOf(c), title: c.Endpoint + " to one " + c.Entrypoint + " client, " + c.Level.String(), unit: PerSecond, guess: took, against: []string{limitConsume}}
	a := api{path: "/bench/" + s.name, entrypoint: c.Entrypoint, level: c.Level.String(), endpoint: c.Endpoint}
	if c.Entrypoint == "http-get" {
		job.Do = load.Page
		a.settings = object{"messagesLimitCount": perPage, "messagesLimitDurationMs": 1000}
	}
	switch {
	case isMock(c):
		s.against = []string{limitSSE}
		if job.Form == load.WebSocket {
			s.against = []string{limitWebSocket}
		}
		a.broker = r.onMock(r.o.Messages)
	case !isKafka(c) || c.Level == qos.None: // none starts at the live end
		return nil
	}
	var url string
	runs := 0
	s.run = func(ctx context.Context) (_ Sample, err error) {
		if url == "" {
			if isKafka(c) {
				a.broker = r.onKafka(*topic)
			}
			if _, url, err = r.serve(ctx, a); err != nil {
				return Sample{}, err
			}
		}
		job.URL = url
		if isKafka(c) && job.Do == load.Stream {
			job.URL += "?from=earliest"
		}
		if slices.Contains([]qos.Level{qos.AtMostOnce, qos.AtLeastOnce}, c.Level) {
			runs++
			job.Client = identifier(s.name, runs)
		}
		return r.measure(ctx, job, r.workerPID(), nil)
	}
	return s
}

// mayLose has a job not wait for what the level of its cell may lose.
func (r *runner) mayLose(c qos.Cell, job *load.Job) {
	if c.Level == qos.None || c.Level == qos.AtMostOnce {
		job.Lossy, job.Quiet = true, r.o.Quiet
	}
}

func formOf(c qos.Cell) string {
	if c.Entrypoint == "websocket" {
		return load.WebSocket
	}
	return load.SSE
}

// live: what is produced at a steady rate, until a client has it.
func (r *runner) live() *group {
	var topic string
	total := int64(r.o.Rate * r.o.Duration.Seconds())
	g := &group{name: "live", prepare: func(ctx context.Context) (err error) {
		topic, err = r.kafka.topic(ctx, "live")
		return err
	}}
	produced := func() during {
		return r.producing(load.Job{Brokers: r.o.Kafka, Topic: topic, Size: r.o.Size, Rate: r.o.Rate, Total: total})
	}
	took := r.o.Duration + 2*time.Second
	g.cases = []*scenario{{name: limitFetch, title: "franz-go producing and consuming alone", unit: Millis, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
		return byLatency(r.measure(ctx, load.Job{Do: load.Consume, Brokers: r.o.Kafka, Topic: topic, Total: total, Live: true}, nil, produced()))
	}}}
	add := func(c qos.Cell, name, title string, resume bool, beside func(id string) during) {
		s := &scenario{name: name, title: c.Endpoint + " to " + c.Entrypoint + ", produced to delivered, " + c.Level.String() + title, unit: Millis, against: []string{limitFetch}, guess: took}
		var id, url string
		s.run = func(ctx context.Context) (_ Sample, err error) {
			if url == "" {
				a := api{path: "/bench/" + name, entrypoint: c.Entrypoint, level: c.Level.String(), endpoint: c.Endpoint, broker: r.onKafka(topic)}
				if id, url, err = r.serve(ctx, a); err != nil {
					return Sample{}, err
				}
			}
			job := load.Job{Do: load.Stream, Form: formOf(c), URL: url, Clients: 1, Total: total, Live: true, Resume: resume}
			r.mayLose(c, &job)
			return byLatency(r.measure(ctx, job, r.workerPID(), both(produced(), beside(id))))
		}
		g.cases = append(g.cases, s)
	}
	for _, c := range r.cells("sse", "sse-advanced", "websocket") {
		if isKafka(c) {
			add(c, "live/"+nameOf(c), "", false, func(string) during { return nil })
		}
	}
	if c := qos.Lookup("sse", "kafka", qos.Auto); c.Origin != qos.Refused {
		add(c, "redeploy/"+nameOf(c), ", deployed four times a second", true, r.redeploying)
	}
	return g
}
