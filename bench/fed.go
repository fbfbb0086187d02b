package bench

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/qos"
)

// fed: what is produced as fast as it goes, to one client at the live end, at every level: what a level costs is seen side by
// side, none among them, which has no backlog to drain.
func (r *runner) fed() *group {
	var topic string
	g := &group{name: "fed", prepare: func(ctx context.Context) (err error) {
		topic, err = r.kafka.topic(ctx, "fed")
		return err
	}}
	g.cases = []*scenario{r.feed(&topic)}
	for _, c := range r.cells("sse", "websocket") {
		if c.Endpoint != "kafka" {
			continue
		}
		name, url, runs := "fed/"+nameOf(c), "", 0
		g.cases = append(g.cases, &scenario{name: name, title: "Kafka to one " + c.Entrypoint + " client as it is produced, " + c.Level.String(), unit: PerSecond,
			against: []string{limitFeed}, guess: 5 * time.Second, run: func(ctx context.Context) (_ Sample, err error) {
				if url == "" {
					if _, url, err = r.serve(ctx, api{path: "/bench/" + name, entrypoint: c.Entrypoint, level: c.Level.String(), endpoint: c.Endpoint, broker: r.onKafka(topic)}); err != nil {
						return Sample{}, err
					}
				}
				runs++
				job := load.Job{Do: load.Stream, Form: formOf(c), URL: url, Clients: 1, Total: r.o.Messages, Live: true}
				r.mayLose(c, &job)
				if c.Level == qos.AtMostOnce || c.Level == qos.AtLeastOnce {
					job.Client = identifier(name, runs)
				}
				return r.measure(ctx, job, r.workerPID(), r.producing(load.Job{Brokers: r.o.Kafka, Topic: topic, Size: r.o.Size, Total: r.o.Messages}))
			}})
	}
	return g
}

// feed is the limit of one client at the live end.
func (r *runner) feed(topic *string) *scenario {
	return &scenario{name: limitFeed, title: "franz-go producing and consuming alone", unit: PerSecond, limit: true, guess: 5 * time.Second, run: func(ctx context.Context) (Sample, error) {
		return r.measure(ctx, load.Job{Do: load.Consume, Brokers: r.o.Kafka, Topic: *topic, Total: r.o.Messages, Live: true}, nil,
			r.producing(load.Job{Brokers: r.o.Kafka, Topic: *topic, Size: r.o.Size, Total: r.o.Messages}))
	}}
}
