package flow

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// keyNoFlow is the failure of an exchange that selects no flow although one is required (spec 5.4).
const keyNoFlow = "FLOW_EXECUTION_FLOW_MATCHED_FAILURE"

// engine is the flows of a revision. It is made at deploy; what flows an exchange runs is found when it begins, and is the same
// for all of its phases (spec 5.3).
type engine struct {
	log           *slog.Logger
	tracer        trace.Tracer       // nil: no spans
	surroundings  *policies.Surround // what expressions know of the API
	common        *policies.Context  // of chains that all subscribers share
	plans         map[string][]*unit
	api           []*unit
	bestMatch     bool
	matchRequired bool

	mu sync.Mutex
	// guards the following
	programs map[string]*program // by plan and the places of the flows

	warned, panicked atomic.Uint64
}

// maxPrograms bounds the programs that are kept. There could be one for each combination of flows; those beyond are made
// per exchange.
const maxPrograms = 256

// guide is the engine as one entrypoint uses it.
type guide struct {
	*engine
	entrypoint string
	modes      connectors.Mode
	counters   *meter.Counters
	fixed      map[string]*program // by plan, where the flows are the same for all exchanges; nil program: nothing runs
}

// guide prepares the engine for an entrypoint. nil: no exchange of it runs anything.
func (e *engine) guide(entrypoint string, modes connectors.Mode, counters *meter.Counters, plans []string) *guide {
	g := &guide{engine: e, entrypoint: entrypoint, modes: modes, counters: counters, fixed: map[string]*program{}}
	busy := false
	for _, plan := range plans {
		if !g.isFixed(e.plans[plan]) || !g.isFixed(e.api) {
			busy = true
			continue
		}
		p, selected := g.choose(plan, "/", nil)
		if p.empty() && (selected || !e.matchRequired) {
			g.fixed[plan] = nil
			continue
		}
		busy = true
		if selected {
			g.fixed[plan] = p
		}
	}
	if !busy {
		return nil
	}
	return g
}

func (g *guide) isFixed(flows []*unit) bool {
	for _, f := range flows {
		if f.serves(g.entrypoint, g.modes) && !f.fixed() {
			return false
		}
	}
	return true
}

// choose returns the program of the flows that select an exchange, and whether there are any.
func (g *guide) choose(plan, path string, c *policies.Context) (p *program, selected bool) {
	key := append(make([]byte, 0, 64), plan...)
	flows := g.selected(nil, g.plans[plan], path, c, &key)
	flows = g.selected(flows, g.api, path, c, &key)
	g.mu.Lock()
	defer g.mu.Unlock()
	if p = g.programs[string(key)]; p == nil {
		p = newProgram(flows)
		if len(g.programs) < maxPrograms {
			g.programs[string(key)] = p
		}
	}
	return p, len(flows) > 0
}

// selected appends the flows of a list that select an exchange, and to key what tells them apart.
func (g *guide) selected(dst, flows []*unit, path string, c *policies.Context, key *[]byte) []*unit {
	var found []*unit
	for _, f := range flows {
		if f.serves(g.entrypoint, g.modes) && f.selects(path, c) {
			found = append(found, f)
		}
	}
	if g.bestMatch {
		found = best(found)
	}
	*key = append(*key, 0)
	for i, f := range flows {
		for _, s := range found {
			if f == s {
				*key = append(*key, byte(i), byte(i>>8), 1)
			}
		}
	}
	return append(dst, found...)
}

// run is the flows of one exchange under way.
type run struct {
	guide    *guide
	program  *program
	context  policies.Context
	publish  *chain // nil: nothing runs
	chosen   bool   // publish is set
	answered bool   // the response phase ran
}

// begin finds what runs for an exchange; nil: nothing. A failure says why it goes no further.
func (g *guide) begin(x *exchange.Exchange, path string) (*run, *message.Failure) {
	p, known := g.fixed[x.Plan]
	if known && p == nil {
		return nil, nil
	}
	r := runs.Get().(*run)
	r.guide, r.program = g, p
	r.context.Init(x, g.surroundings)
	if !known {
		var selected bool
		if r.program, selected = g.choose(x.Plan, path, &r.context); !selected && g.matchRequired {
			return nil, &message.Failure{Status: fasthttp.StatusNotFound, Key: keyNoFlow}
		}
		if r.program.empty() {
			return nil, nil
		}
	}
	x.Flow = r
	return r, nil
}

// pushPath is what flows of push subscriptions select by: the channel of the subscription (spec 5.3).
func pushPath(channel string) string { return "/" + strings.TrimPrefix(channel, "/") }

// runOf returns the run of an exchange; nil: it has none.
func runOf(x *exchange.Exchange) *run {
	r, _ := x.Flow.(*run)
	return r
}

// request runs the request phase. nil: the exchange goes on.
func (r *run) request(ctx context.Context) error {
	var in, out *step // of the shared policy group of the step before: the one that runs, the one that does not
	for _, s := range r.program.request {
		if s.group != nil && !s.group.entered(&in, &out, s.group.condition, &r.context) || !s.meets(s.condition, &r.context) {
			continue
		}
		s.counters.Runs.Add(1)
		if err := s.outcome(&r.context, s.request.OnRequest(ctx, &r.context)); err != nil && !(s.skips && isFailure(err)) {
			return err
		}
	}
	return nil
}

// response runs the response phase, once.
func (r *run) response(ctx context.Context, streaming bool) error {
	if r.answered {
		return nil
	}
	r.answered = true
	r.context.Streaming = streaming
	var in, out *step // of the shared policy group of the step before: the one that runs, the one that does not
	for _, s := range r.program.response {
		if s.group != nil && !s.group.entered(&in, &out, s.group.condition, &r.context) || !s.meets(s.condition, &r.context) {
			continue
		}
		s.counters.Runs.Add(1)
		if err := s.outcome(&r.context, s.response.OnResponse(ctx, &r.context)); err != nil && !(s.skips && isFailure(err)) {
			return err
		}
	}
	return nil
}

// published returns the chain of the messages that the exchange publishes.
func (r *run) published() *chain {
	if !r.chosen {
		r.chosen = true
		r.publish = r.program.publish.chain(&r.context)
	}
	return r.publish
}

// warn logs what went wrong without ending anything. Every power of two is logged: one bad condition must not fill the disk.
func (e *engine) warn(s *step, what string, err error) {
	if n := e.warned.Add(1); n&(n-1) == 0 {
		e.log.Warn(what, "policy", s.policy, "step", s.name, "phase", s.phase.String(), "err", err, "count", n)
	}
}

// failed tells of a failure of a policy: to the log, and to the trace of the exchange where it has one.
func (e *engine) failed(s *step, c *policies.Context, f *message.Failure) {
	if n := s.counters.Failed.Load(); n&(n-1) == 0 {
		e.log.Warn("policy failed", "policy", s.policy, "step", s.name, "phase", s.phase.String(), "key", f.Key, "status", f.Status, "err", f.Err, "count", n)
	}
	if e.tracer == nil || c.Exchange == nil || !c.Exchange.Span.IsSampled() {
		return
	}
	parent := trace.ContextWithSpanContext(context.Background(), c.Exchange.Span)
	_, span := e.tracer.Start(parent, "policy "+s.policy, trace.WithAttributes(attribute.String("sluice.policy", s.policy),
		attribute.String("sluice.step", s.name), attribute.String("sluice.phase", s.phase.String()), attribute.String("error.type", f.Key)))
	span.AddEvent("policy failed", trace.WithAttributes(attribute.String("exception.message", f.Error())))
	span.SetStatus(codes.Error, f.Message)
	span.End()
}
