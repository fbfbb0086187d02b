package bench

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/qos"
)

// Limits of MQTT.
const (
	limitMQTTPublish = "limit/mqtt-publish"
	limitMQTT        = "limit/mqtt-live"
	limitMQTTHeard   = "limit/mqtt-heard"
)

func isMQTT(c qos.Cell) bool {
	return c.Endpoint == "mqtt" || c.Endpoint == "mqtt5" || c.Endpoint == "mqtt5-advanced"
}

// onMQTT is the configuration of an MQTT endpoint.
func (r *runner) onMQTT(topic string) object {
	host, port, _ := net.SplitHostPort(r.o.MQTT)
	number, _ := strconv.Atoi(port)
	return object{"serverHost": host, "serverPort": number, "topic": topic, "consumer": object{"enabled": true}, "producer": object{"enabled": true}}
}

// onTopic is a job on a topic of the MQTT broker.
func (r *runner) onTopic(topic string, j load.Job) load.Job {
	j.MQTT, j.Brokers, j.Topic, j.Size, j.QoS = true, []string{r.o.MQTT}, topic, r.o.Size, 1
	return j
}

// publishMQTT: POST to an MQTT broker, answered as the level says; all that was taken must be heard by a subscriber.
func (r *runner) publishMQTT() *group {
	took := r.o.Duration*5/2 + time.Second
	g := &group{name: "publish to MQTT", cases: []*scenario{{name: limitMQTTPublish, title: "paho publishing alone with QoS 1, callers waiting", unit: PerSecond, limit: true, guess: took,
		run: func(ctx context.Context) (Sample, error) {
			return r.measure(ctx, r.onTopic("bench/publish/limit", load.Job{Do: load.Produce, Clients: r.o.Clients, For: r.o.Duration}), nil, nil)
		}}}}
	for _, c := range r.cells("http-post") {
		if !isMQTT(c) {
			continue
		}
		name, topic, url := nameOf(c), "bench/publish/"+c.Endpoint+"/"+c.Level.String(), ""
		g.cases = append(g.cases, &scenario{name: name, title: "POST to " + c.Endpoint + ", " + c.Level.String(), unit: PerSecond, against: []string{limitMQTTPublish}, guess: took,
			run: func(ctx context.Context) (_ Sample, err error) {
				if url == "" {
					if _, url, err = r.serve(ctx, api{path: "/bench/" + name, entrypoint: c.Entrypoint, level: c.Level.String(), endpoint: c.Endpoint, broker: r.onMQTT(topic)}); err != nil {
						return Sample{}, err
					}
				}
				s, err := r.measure(ctx, r.onTopic(topic, load.Job{Do: load.Post, URL: url, Clients: r.o.Clients, Warm: r.o.Duration / 5, For: r.o.Duration, Rate: r.o.Rate}), r.workerPID(), nil)
				if c.Level == qos.None {
					s.Lost = 0 // 202 promises nothing more than the buffer
				}
				return s, err
			}})
	}
	return g
}

// liveMQTT: what is published at a steady rate, until a client has it.
func (r *runner) liveMQTT() *group {
	total := int64(r.o.Rate * r.o.Duration.Seconds())
	took := r.o.Duration + 2*time.Second
	produced := func(topic string) during {
		return r.producing(r.onTopic(topic, load.Job{Rate: r.o.Rate, Total: total}))
	}
	g := &group{name: "live from MQTT", cases: []*scenario{{name: limitMQTT, title: "paho publishing and subscribing alone", unit: Millis, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
		const topic = "bench/live/limit"
		return byLatency(r.measure(ctx, r.onTopic(topic, load.Job{Do: load.Consume, Total: total}), nil, produced(topic)))
	}}, {name: limitMQTTHeard, title: "paho publishing at that rate and subscribing alone", unit: PerSecond, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
		const topic = "bench/heard/limit"
		return r.measure(ctx, r.onTopic(topic, load.Job{Do: load.Consume, Total: total}), nil, produced(topic))
	}}}}
	for _, c := range r.cells("http-get", "sse", "sse-advanced", "websocket") {
		if isMQTT(c) {
			g.cases = append(g.cases, r.liveCell(c, total, took, produced))
		}
	}
	return g
}

func (r *runner) liveCell(c qos.Cell, total int64, took time.Duration, produced func(string) during) *scenario {
	topic, name, url, runs := "bench/live/"+nameOf(c), "live/"+nameOf(c), "", 0
	s := &scenario{name: name, title: c.Endpoint + " to " + c.Entrypoint + ", published to delivered, " + c.Level.String(), unit: Millis, against: []string{limitMQTT}, guess: took}
	page := c.Entrypoint == "http-get"
	if page { // pages have no time of arrival of each message, and what comes between two is nobody's
		s.unit, s.against, s.title = PerSecond, []string{limitMQTTHeard}, c.Endpoint+" to pages, "+c.Level.String()
	}
	s.run = func(ctx context.Context) (_ Sample, err error) {
		if url == "" {
			a := api{path: "/bench/" + name, entrypoint: c.Entrypoint, level: c.Level.String(), endpoint: c.Endpoint, broker: r.onMQTT(topic)}
			if page {
				a.settings = object{"messagesLimitCount": 100, "messagesLimitDurationMs": 500}
			}
			if _, url, err = r.serve(ctx, a); err != nil {
				return Sample{}, err
			}
		}
		runs++
		job := load.Job{Do: load.Stream, Form: formOf(c), URL: url, Clients: 1, Total: total, Live: true}
		r.mayLose(c, &job)
		if c.Level == qos.AtMostOnce || c.Level == qos.AtLeastOnce {
			job.Client = identifier(name, runs)
		}
		if page {
			job.Do, job.Same, job.Lossy, job.Quiet = load.Page, true, true, r.o.Quiet
			return r.measure(ctx, job, r.workerPID(), produced(topic))
		}
		return byLatency(r.measure(ctx, job, r.workerPID(), produced(topic)))
	}
	return s
}

// fedShare is the part of a backlog that is published to MQTT as fast as it goes: an acknowledgement each.
const fedShare = 10

// fromMQTT: what is published as fast as it goes with each QoS of MQTT, to one client.
func (r *runner) fromMQTT() *group {
	g := &group{name: "from MQTT"}
	total := max(r.o.Messages/fedShare, 1)
	took := time.Duration(total/5000+3) * time.Second
	for level := range byte(3) {
		plain := fmt.Sprintf("limit/mqtt/qos-%d", level)
		job := func(topic string, j load.Job) load.Job {
			j = r.onTopic(topic, j)
			j.Total, j.QoS, j.Lossy = total, level, level == 0
			if j.Lossy {
				j.Quiet = r.o.Quiet
			}
			return j
		}
		name, url := fmt.Sprintf("mqtt/qos-%d/sse", level), ""
		topic := "bench/" + name
		g.with(&scenario{name: plain, title: fmt.Sprintf("paho publishing and subscribing alone with QoS %d", level), unit: PerSecond, limit: true, guess: took, run: func(ctx context.Context) (Sample, error) {
			return r.measure(ctx, job("bench/"+plain, load.Job{Do: load.Consume}), nil, r.producing(job("bench/"+plain, load.Job{})))
		}}, &scenario{name: name, title: fmt.Sprintf("mqtt5 to one SSE client, QoS %d", level), unit: PerSecond, against: []string{plain}, guess: took, run: func(ctx context.Context) (_ Sample, err error) {
			if url == "" {
				a := api{path: "/bench/" + name, entrypoint: "sse", level: "none", endpoint: "mqtt5", broker: r.onMQTT(topic)}
				if level > 0 {
					a.level, a.broker["consumer"] = "auto", object{"enabled": true, "qos": level}
				}
				if _, url, err = r.serve(ctx, a); err != nil {
					return Sample{}, err
				}
			}
			j := load.Job{Do: load.Stream, Form: load.SSE, URL: url, Clients: 1, Total: total, Live: true, Lossy: level == 0}
			if j.Lossy {
				j.Quiet = r.o.Quiet
			}
			return r.measure(ctx, j, r.workerPID(), r.producing(job(topic, load.Job{})))
		}})
	}
	return g
}
