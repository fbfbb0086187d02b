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

// fan is the API and the topic of the fan-outs of one form.
type fan struct {
	r              *runner
	form           string
	topic, id, url string
	feed           string // name of its limit with one client
}

// fanOut: what is produced once, to many clients: as fast as it goes, and paced with its latency.
func (r *runner) fanOut(form string) *group {
	f := &fan{r: r, form: form, feed: "limit/fan-out/" + form + "/feed"}
	g := &group{name: "fan-out over " + form, prepare: func(ctx context.Context) (err error) {
		if f.topic, err = r.kafka.topic(ctx, "fan-"+form); err != nil {
			return err
		}
		f.id, f.url, err = r.serve(ctx, api{path: "/bench/fan/" + form, entrypoint: form, level: "auto", endpoint: "kafka", broker: r.onKafka(f.topic)})
		return err
	}}
	feed := r.feed(&f.topic)
	feed.name = f.feed
	g.cases = append(g.cases, feed)
	for _, n := range r.o.FanOut {
		g.with(f.pair(n, min(max(r.o.Deliveries/int64(n), 1), r.o.Messages), 0, fmt.Sprint(n))...)
	}
	for _, p := range r.o.Paced {
		g.with(f.pair(p.Clients, max(int64(p.Rate*r.o.Duration.Seconds()), 1), p.Rate, fmt.Sprintf("%dx%.0f", p.Clients, p.Rate))...)
	}
	return g
}

// pair is a fan-out of total messages and its limit. Where there is a rate it is about the latency.
func (f *fan) pair(clients int, total int64, rate float64, name string) []*scenario {
	job := load.Job{Do: load.Stream, Form: f.form, Clients: clients, Total: total, Live: true, Sources: clients/perSource + 1}
	unit, title, kind := PerSecond, fmt.Sprintf("to %d %s clients", clients, f.form), func(s Sample, err error) (Sample, error) { return s, err }
	took := time.Duration(float64(total*int64(clients))/400_000*float64(time.Second)) + 3*time.Second
	if rate > 0 {
		unit, kind, title = Millis, byLatency, fmt.Sprintf("%s, %.0f/s to each", title, rate)
		took = time.Duration(float64(total)/rate*float64(time.Second)) + 3*time.Second
	}
	plain := "limit/fan-out/" + f.form + "/" + name
	against := []string{plain}
	if clients == 1 {
		against = []string{f.feed}
	}
	r := f.r
	return []*scenario{
		{name: plain, title: "prepared frames " + title, unit: unit, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
			return kind(r.limited(load.Job{Do: limit.Frames, Form: f.form, Clients: clients, Size: r.o.Size, Total: total, Rate: rate, Live: true}, job)(ctx))
		}},
		{name: "fan-out/" + f.form + "/" + name, title: "Kafka " + title, unit: unit, against: against, guess: took, run: func(ctx context.Context) (Sample, error) {
			j := job
			j.URL = f.url
			before, err := r.metric(ctx, f.id, catchUps)
			if err != nil {
				return Sample{}, err
			}
			readers := 0
			s, err := kind(r.measure(ctx, j, r.workerPID(), func(ctx context.Context) (err error) {
				if readers, err = r.metric(ctx, f.id, "sluice_kafka_readers"); err != nil { // all clients are connected
					return err
				}
				return r.producing(load.Job{Brokers: r.o.Kafka, Topic: f.topic, Size: r.o.Size, Rate: rate, Total: total})(ctx)
			}))
			if err != nil {
				return s, err
			}
			after, err := r.metric(ctx, f.id, catchUps)
			s.Readers = readers + after - before
			return s, err
		}}}
}

// catchUps counts the fetch sessions for those who fell behind.
const catchUps = "sluice_kafka_catch_ups_total"
