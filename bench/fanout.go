package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/bench/limit"
	"github.com/sluice-gateway/sluice/bench/load"
)

// perSource is how many clients connect from one address.
const perSource = 5000

// paced are the fan-outs at a steady rate: clients, and messages per second to each.
var paced = []struct {
	clients int
	rate    float64
}{{100, 1000}, {1000, 100}}

// limitFeed is the limit of one client: to it the broker is slower than any writer.
const limitFeed = "limit/fan-out/feed"

func against(clients int, plain string) []string {
	if clients == 1 {
		return []string{limitFeed}
	}
	return []string{plain}
}

// fanOut: what is produced once, to many clients: as fast as it goes, and paced with its latency.
func (r *runner) fanOut() *group {
	var topic, url string
	g := &group{name: "fan-out", prepare: func(ctx context.Context) (err error) {
		if topic, err = r.kafka.topic(ctx, "fan"); err != nil {
			return err
		}
		_, url, err = r.serve(ctx, api{path: "/bench/fan", entrypoint: "sse", level: "auto", endpoint: "kafka", broker: r.onKafka(topic)})
		return err
	}}
	pair := func(clients int, total int64, rate float64, suffix, unit, title string) {
		job := load.Job{Do: load.Stream, Form: load.SSE, Clients: clients, Total: total, Live: true, Sources: clients/perSource + 1}
		kind := func(s Sample, err error) (Sample, error) {
			if unit == Millis {
				return byLatency(s, err)
			}
			return s, err
		}
		took := time.Duration(float64(total*int64(clients))/400_000*float64(time.Second)) + 3*time.Second
		if rate > 0 {
			took = time.Duration(float64(total)/rate*float64(time.Second)) + 3*time.Second
		}
		plain := "limit/fan-out/" + suffix
		g.cases = append(g.cases,
			&scenario{name: plain, title: "prepared events " + title, unit: unit, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
				return kind(r.limited(load.Job{Do: limit.Frames, Form: load.SSE, Clients: clients, Size: r.o.Size, Total: total, Rate: rate, Live: true}, job)(ctx))
			}},
			&scenario{name: "fan-out/" + suffix, title: "Kafka " + title, unit: unit, against: against(clients, plain), guess: took, run: func(ctx context.Context) (Sample, error) {
				j := job
				j.URL = url
				return kind(r.measure(ctx, j, r.workerPID(), r.producing(load.Job{Brokers: r.o.Kafka, Topic: topic, Size: r.o.Size, Rate: rate, Total: total})))
			}})
	}
	g.cases = append(g.cases, &scenario{name: limitFeed, title: "franz-go producing and consuming alone", unit: PerSecond, limit: true, guess: 5 * time.Second, run: func(ctx context.Context) (Sample, error) {
		total := min(r.o.Deliveries, r.o.Messages)
		return r.measure(ctx, load.Job{Do: load.Consume, Brokers: r.o.Kafka, Topic: topic, Total: total, Live: true}, nil,
			r.producing(load.Job{Brokers: r.o.Kafka, Topic: topic, Size: r.o.Size, Total: total}))
	}})
	for _, n := range r.o.FanOut {
		pair(n, min(max(r.o.Deliveries/int64(n), 1), r.o.Messages), 0, fmt.Sprint(n), PerSecond, fmt.Sprintf("to %d SSE clients", n))
	}
	for _, p := range paced {
		pair(p.clients, int64(p.rate*r.o.Duration.Seconds()), p.rate, fmt.Sprintf("%dx%.0f", p.clients, p.rate), Millis,
			fmt.Sprintf("to %d SSE clients, %.0f/s to each", p.clients, p.rate))
	}
	return g
}
