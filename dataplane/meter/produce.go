package meter

import (
	"context"
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// scope names the data plane as the source of its metrics.
const scope = "github.com/sluice-gateway/sluice/dataplane"

// Attribute keys of the metrics.
const (
	keyAPI        = "api"
	keyEntrypoint = "entrypoint"
	keyStatus     = "status" // the class, "2xx"
	keyState      = "state"
	keyOutcome    = "outcome"
	keyPolicy     = "policy"
	keyPhase      = "phase"
)

var classes = [6]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// bounds are the upper bounds of the histogram, in seconds.
var bounds = func() []float64 {
	out := make([]float64, buckets)
	for i := range out {
		out[i] = math.Exp2(float64(i+firstBoundBits)) / 1e6
	}
	return out
}()

// point is an entrypoint's counters with its attributes.
type point struct {
	api, entrypoint string
	*Counters
}

// Produce implements sdkmetric.Producer. Instruments are named without unit and "total", which exporters add as their
// format has it: sluice_dataplane_request_duration becomes ..._seconds in Prometheus.
func (r *Registry) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	g := gather{points: r.points(), start: r.start, now: time.Now()}
	g.requests()
	g.sum("sluice_dataplane_messages_in", "{message}", func(c *Counters) uint64 { return c.MessagesIn.Load() })
	g.sum("sluice_dataplane_messages_out", "{message}", func(c *Counters) uint64 { return c.MessagesOut.Load() })
	g.sum("sluice_dataplane_dead_letters", "{message}", func(c *Counters) uint64 { return c.DeadLetters.Load() })
	g.sum("sluice_dataplane_panics", "{panic}", func(c *Counters) uint64 { return c.Panics.Load() })
	g.gauge("sluice_dataplane_requests_inflight", func(c *Counters) int64 { return c.InFlight.Load() })
	g.gauge("sluice_dataplane_streams_open", func(c *Counters) int64 { return c.Streams.Load() })
	g.one("sluice_server_unrouted", r.Unrouted.Load())
	g.one("sluice_server_refused", r.Refused.Load())
	g.one("sluice_reactor_contained_panics", r.Panics.Load())
	g.one("sluice_reactor_conflicts", r.Conflicts.Load())
	g.one("sluice_reactor_drains_cut", r.CutOff.Load())
	g.level("sluice_reactor_revision", int64(r.Revision.Load()))
	g.level("sluice_reactor_apis", r.APIs.Load())
	g.level("sluice_reactor_draining", r.Draining.Load())
	g.push(&r.Push)
	g.steps(r.stepPoints())
	g.add("sluice_reactor_drain_duration", "s", metricdata.Histogram[float64]{
		Temporality: metricdata.CumulativeTemporality,
		DataPoints:  []metricdata.HistogramDataPoint[float64]{g.histogram(&r.drain, attribute.Set{})},
	})
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: scope}, Metrics: g.out}}, nil
}

func (r *Registry) points() []point {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]point, 0, len(r.apis))
	for api, of := range r.apis {
		for entrypoint, c := range of {
			out = append(out, point{api, entrypoint, c})
		}
	}
	return out
}

// stepPoint is a policy's counters with its attributes.
type stepPoint struct {
	api string
	stepKey
	*Step
}

func (r *Registry) stepPoints() []stepPoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []stepPoint
	for api, of := range r.steps {
		for k, s := range of {
			out = append(out, stepPoint{api, k, s})
		}
	}
	return out
}

// steps adds what policies did.
func (g *gather) steps(points []stepPoint) {
	s := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	for _, p := range points {
		for _, o := range [...]struct {
			outcome string
			n       uint64
		}{{"run", p.Runs.Load()}, {"skipped", p.Skipped.Load()}, {"dropped", p.Dropped.Load()}, {"failed", p.Failed.Load()}} {
			if o.n > 0 {
				s.DataPoints = append(s.DataPoints, metricdata.DataPoint[int64]{StartTime: g.start, Time: g.now, Value: int64(o.n),
					Attributes: attribute.NewSet(attribute.String(keyAPI, p.api), attribute.String(keyPolicy, p.policy),
						attribute.String(keyPhase, p.phase), attribute.String(keyOutcome, o.outcome))})
			}
		}
	}
	g.add("sluice_dataplane_policy_runs", "{run}", s)
}

// gather builds one collection.
type gather struct {
	points     []point
	start, now time.Time
	out        []metricdata.Metrics
}

func (g *gather) add(name, unit string, data metricdata.Aggregation) {
	g.out = append(g.out, metricdata.Metrics{Name: name, Unit: unit, Data: data})
}

// requests adds the request counts and latencies. Entrypoints that were never asked are left out: there may be thousands.
func (g *gather) requests() {
	counts := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	latency := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
	for _, p := range g.points {
		any := false
		for class := range p.Requests {
			n := p.Requests[class].Load()
			if n == 0 {
				continue
			}
			any = true
			counts.DataPoints = append(counts.DataPoints, metricdata.DataPoint[int64]{StartTime: g.start, Time: g.now, Value: int64(n),
				Attributes: attribute.NewSet(attribute.String(keyAPI, p.api), attribute.String(keyEntrypoint, p.entrypoint), attribute.String(keyStatus, classes[class]))})
		}
		if any {
			latency.DataPoints = append(latency.DataPoints, g.histogram(&p.latency, p.attributes()))
		}
	}
	g.add("sluice_dataplane_requests", "{request}", counts)
	g.add("sluice_dataplane_request_duration", "s", latency)
}

func (p point) attributes() attribute.Set {
	return attribute.NewSet(attribute.String(keyAPI, p.api), attribute.String(keyEntrypoint, p.entrypoint))
}

func (g *gather) sum(name, unit string, of func(*Counters) uint64) {
	s := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	for _, p := range g.points {
		if n := of(p.Counters); n > 0 {
			s.DataPoints = append(s.DataPoints, metricdata.DataPoint[int64]{StartTime: g.start, Time: g.now, Value: int64(n), Attributes: p.attributes()})
		}
	}
	g.add(name, unit, s)
}

func (g *gather) gauge(name string, of func(*Counters) int64) {
	v := metricdata.Gauge[int64]{}
	for _, p := range g.points {
		v.DataPoints = append(v.DataPoints, metricdata.DataPoint[int64]{Time: g.now, Value: of(p.Counters), Attributes: p.attributes()})
	}
	g.add(name, "", v)
}

// push adds the numbers of push subscriptions.
func (g *gather) push(p *Push) {
	states := metricdata.Gauge[int64]{}
	for i, name := range PushStates {
		states.DataPoints = append(states.DataPoints, metricdata.DataPoint[int64]{Time: g.now, Value: p.States[i].Load(),
			Attributes: attribute.NewSet(attribute.String(keyState, name))})
	}
	g.add("sluice_dispatch_subscriptions", "", states)
	attempts := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	for i, name := range PushOutcomes {
		attempts.DataPoints = append(attempts.DataPoints, metricdata.DataPoint[int64]{StartTime: g.start, Time: g.now,
			Value: int64(p.Attempts[i].Load()), Attributes: attribute.NewSet(attribute.String(keyOutcome, name))})
	}
	g.add("sluice_dispatch_attempts", "{attempt}", attempts)
	g.one("sluice_dispatch_retries", p.Retries.Load())
}

func (g *gather) one(name string, n uint64) {
	g.add(name, "", metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true,
		DataPoints: []metricdata.DataPoint[int64]{{StartTime: g.start, Time: g.now, Value: int64(n)}}})
}

func (g *gather) level(name string, n int64) {
	g.add(name, "", metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Time: g.now, Value: n}}})
}

func (g *gather) histogram(h *histogram, attributes attribute.Set) metricdata.HistogramDataPoint[float64] {
	p := metricdata.HistogramDataPoint[float64]{Attributes: attributes, StartTime: g.start, Time: g.now, Bounds: bounds,
		BucketCounts: make([]uint64, len(h.counts)), Sum: float64(h.micros.Load()) / 1e6}
	for i := range h.counts {
		p.BucketCounts[i] = h.counts[i].Load()
		p.Count += p.BucketCounts[i]
	}
	return p
}

var _ sdkmetric.Producer = (*Registry)(nil)
