package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/callout"
	"github.com/sluice-gateway/sluice/proto/management"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/cursor"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// TrialOptions say whose messages a trial takes for.
type TrialOptions struct {
	Entrypoint string // its type; empty: the first that the phase can run for
	Publish    bool   // run the publish phase; else the subscribe phase
	Path       string // behind the listener's path, for selectors; empty: "/"
	Plan       string // id or name; empty: the first that serves the entrypoint
	Headers    map[string]string
	Query      string
	Metadata   map[string]string // of the subscription
}

// Trial is a draft's flows as one connection would meet them. Nothing of what its steps do leaves the process: outward calls
// are told, not made, and messages are read by a reader that nobody knows.
type Trial struct {
	api     *API
	backend *backend
	x       *exchange.Exchange
	run     *run
	chain   *chain
	steps   []*step // of the phase, also those that conditions leave out
	// Before is what the request phase did.
	Before []management.TrialStep
	// Ended says why the request phase ended the exchange; empty: it did not.
	Ended string
}

// TrialResult is what became of a message.
type TrialResult struct {
	In, Out message.Message
	Result  string // management.TrialPassed and so on
	Reason  string
	Steps   []management.TrialStep
	Took    time.Duration // of a run that is warm: the quickest of a few
	Allocs  int           // of such a run; -1: not measured, since it would have done something outside
}

// NewTrial compiles a draft. The error is apidef.Problems where the draft cannot be served as it is written, or says why the
// options fit nothing of it. The caller closes the trial.
func NewTrial(ctx context.Context, cfg Config, d Deployment, o TrialOptions) (*Trial, error) {
	real := cfg.Dial
	if real == nil {
		real = callout.Guard{}.Dial
	}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if t := policies.TrialOf(ctx); t != nil {
			t.Note("connect to " + address)
			return nil, fmt.Errorf("connect to %s: %w", address, policies.ErrTrial)
		}
		return real(ctx, network, address)
	}
	cfg.Log = slog.New(slog.DiscardHandler) // what goes wrong is the result
	api, err := New(cfg, d)
	if err != nil {
		return nil, err
	}
	t := &Trial{api: api}
	if err := t.connect(ctx, o); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close ends what the draft's policies and resources hold. Last has done so already.
func (t *Trial) Close() { t.api.held.close(t.api.log) }

// connect is the beginning of a connection: the request phase, and the choice of what runs for its messages.
func (t *Trial) connect(ctx context.Context, o TrialOptions) error {
	e, err := t.entrypoint(o)
	if err != nil {
		return err
	}
	t.backend = e.backend
	t.x = &exchange.Exchange{API: t.api.Info, Entrypoint: e.typ, QoS: qos.Auto, PathInfo: "/" + strings.TrimPrefix(o.Path, "/"),
		ClientIdentifier: "trial", RequestID: "trial", TransactionID: "trial", ContextPath: "/", HTTP: new(fasthttp.RequestCtx),
		Details: &policies.Subscription{ID: "trial", Type: "STANDARD", Metadata: o.Metadata}}
	if len(t.api.Routes) > 0 {
		t.x.ContextPath = t.api.Routes[0].Path
	}
	if t.x.Plan, err = t.plan(o.Plan); err != nil {
		return err
	}
	r := &t.x.HTTP.Request
	r.Header.SetMethod(fasthttp.MethodGet)
	if o.Publish {
		r.Header.SetMethod(fasthttp.MethodPost)
	}
	r.SetRequestURI(strings.TrimSuffix(t.x.ContextPath, "/") + t.x.PathInfo)
	r.URI().SetQueryString(o.Query)
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		r.Header.Set(name, o.Headers[name])
	}
	if t.backend.guide == nil {
		return nil
	}
	run, failure := t.backend.guide.begin(t.x, t.x.PathInfo)
	if failure != nil {
		t.Ended = failure.Error()
		return nil
	}
	if t.run = run; run == nil {
		return nil
	}
	return t.choose(ctx, o.Publish)
}

// choose runs the request phase and chooses the chain.
func (t *Trial) choose(ctx context.Context, publish bool) error {
	var in, out *step // see run.request
	for _, s := range t.run.program.request {
		if s.group != nil && !s.group.entered(&in, &out, s.group.condition, &t.run.context) {
			t.Before = append(t.Before, management.TrialStep{Policy: s.policy, Name: s.name, Pointer: s.at, Result: management.TrialSkipped,
				Reason: "the condition of its shared policy group is not met"})
			continue
		}
		did, err := t.once(ctx, s)
		t.Before = append(t.Before, did)
		if err != nil {
			t.Ended = did.Reason
			return nil
		}
	}
	line := t.run.program.subscribe
	if publish {
		line = t.run.program.publish
	} else {
		t.run.context.Keep(t.run.program.uses)
	}
	t.steps = line.steps
	t.chain = line.chain(&t.run.context)
	return nil
}

// once runs a step of the request phase.
func (t *Trial) once(ctx context.Context, s *step) (did management.TrialStep, failed error) {
	did = management.TrialStep{Policy: s.policy, Name: s.name, Pointer: s.at, Result: management.TrialPassed}
	if !s.meets(s.condition, &t.run.context) {
		did.Result, did.Reason = management.TrialSkipped, "its condition is not met"
		return did, nil
	}
	trial := new(policies.Trial)
	begun := time.Now()
	err := s.outcome(&t.run.context, guarded(func() error { return s.request.OnRequest(policies.WithTrial(ctx, trial), &t.run.context) }))
	did.NS, did.Notes = time.Since(begun).Nanoseconds(), trial.Notes()
	switch {
	case err == nil:
		return did, nil
	case errors.Is(err, policies.ErrInterrupt):
		did.Result, did.Reason = management.TrialEnded, fmt.Sprintf("the request is answered with status %d", t.x.HTTP.Response.StatusCode())
		return did, err
	case s.skips:
		did.Result, did.Reason = management.TrialFailed, err.Error()+"; the step is passed over"
		return did, nil
	}
	did.Result, did.Reason = management.TrialFailed, err.Error()
	return did, err
}

// entrypoint finds the one that the trial is for.
func (t *Trial) entrypoint(o TrialOptions) (*entrypoint, error) {
	mode := connectors.Subscribe
	if o.Publish {
		mode = connectors.Publish
	}
	var known []string
	all := make([]*entrypoint, 0, len(t.api.entrypoints)+len(t.api.push))
	for i := range t.api.entrypoints {
		all = append(all, &t.api.entrypoints[i])
	}
	for _, name := range slices.Sorted(maps.Keys(t.api.push)) {
		all = append(all, &t.api.push[name].entrypoint)
	}
	for _, e := range all {
		if e.backend.modes&mode == 0 {
			continue
		}
		if o.Entrypoint == "" || strings.EqualFold(o.Entrypoint, e.typ) {
			return e, nil
		}
		known = append(known, e.typ)
	}
	phase := "subscribe"
	if o.Publish {
		phase = "publish"
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("the definition has no entrypoint that messages of the %s phase go through", phase)
	}
	return nil, fmt.Errorf("no entrypoint %q has a %s phase here; choose one of: %s", o.Entrypoint, phase, strings.Join(known, ", "))
}

// plan finds a plan by its id or name among those that serve.
func (t *Trial) plan(want string) (string, error) {
	plans := t.api.plans
	if want == "" && len(plans) > 0 {
		return plans[0], nil
	}
	if slices.Contains(plans, want) {
		return want, nil
	}
	return "", fmt.Errorf("no plan %q serves; there are: %s", want, strings.Join(plans, ", "))
}

// Run takes one message through the chain.
func (t *Trial) Run(ctx context.Context, m message.Message) TrialResult {
	r := TrialResult{In: m, Result: management.TrialPassed, Allocs: -1}
	out := m
	quiet := t.walk(ctx, &out, &r)
	r.Out = out
	if quiet {
		t.measure(ctx, m, &r)
	}
	return r
}

// walk runs each step once and tells what it did; false: it would have done something outside.
func (t *Trial) walk(ctx context.Context, m *message.Message, r *TrialResult) (quiet bool) {
	quiet = true
	if t.run == nil {
		return quiet
	}
	t.run.context.SetMessage(m)
	var in, out *step // see run.request
	for _, s := range t.steps {
		did := management.TrialStep{Policy: s.policy, Name: s.name, Pointer: s.at}
		l := t.linkOf(s)
		switch {
		case l == nil:
			did.Result, did.Reason = management.TrialSkipped, "its condition is not met"
		case s.group != nil && !s.group.entered(&in, &out, s.group.messageCondition, &t.run.context):
			did.Result, did.Reason = management.TrialSkipped, "the message condition of its shared policy group is not met"
		case !s.meets(s.messageCondition, &t.run.context):
			did.Result, did.Reason = management.TrialSkipped, "its message condition is not met"
		}
		if did.Result != "" {
			r.Steps = append(r.Steps, did)
			continue
		}
		before, trial, begun := *m, new(policies.Trial), time.Now()
		err := guarded(func() error {
			return s.onMessage(policies.WithTrial(ctx, trial), &t.run.context, l.policy, m)
		})
		did.NS, did.Notes = time.Since(begun).Nanoseconds(), trial.Notes()
		quiet = quiet && len(did.Notes) == 0
		did.Result, did.Reason = t.became(&before, m, err)
		r.Steps = append(r.Steps, did)
		if did.Result == management.TrialChanged {
			r.Result = management.TrialChanged
		}
		if err != nil {
			r.Result, r.Reason = did.Result, cmp.Or(did.Reason, "by "+s.policy+s.title())
			return quiet
		}
	}
	return quiet
}

func (t *Trial) linkOf(s *step) *link {
	if t.chain == nil {
		return nil
	}
	for i := range t.chain.links {
		if t.chain.links[i].step == s {
			return &t.chain.links[i]
		}
	}
	return nil
}

// became says what a step made of a message.
func (t *Trial) became(before, after *message.Message, err error) (result, reason string) {
	var u *undeliverable
	switch {
	case err == nil && sameMessage(before, after):
		return management.TrialPassed, ""
	case err == nil:
		return management.TrialChanged, ""
	case err == policies.ErrDrop:
		return management.TrialDropped, ""
	case err == policies.ErrHold:
		return management.TrialHeld, ""
	case err == policies.ErrEnd:
		return management.TrialEnded, ""
	case errors.As(err, &u):
		return management.TrialBuried, u.failure.Error()
	}
	return management.TrialFailed, err.Error()
}

// sameMessage compares what clients see of two messages.
func sameMessage(a, b *message.Message) bool {
	return string(a.Content) == string(b.Content) && string(a.Key) == string(b.Key) && a.Topic == b.Topic &&
		slices.EqualFunc(a.Headers, b.Headers, func(x, y message.Header) bool { return x.Name == y.Name && string(x.Value) == string(y.Value) })
}

// How often a chain is run to tell what it costs, and for how long at most.
const (
	trialRuns  = 20
	trialLimit = 100 * time.Millisecond
)

// measure runs the whole chain again and again. Others may allocate meanwhile, so the least counts.
func (t *Trial) measure(ctx context.Context, m message.Message, r *TrialResult) {
	if t.chain == nil {
		r.Allocs = 0
		return
	}
	ctx = policies.WithTrial(ctx, new(policies.Trial))
	var before, after runtime.MemStats
	least := uint64(1 << 62)
	for end := time.Now().Add(trialLimit); ; {
		var took time.Duration
		runtime.ReadMemStats(&before)
		for range trialRuns {
			again := m
			begun := time.Now()
			_ = guarded(func() error { return t.chain.run(ctx, &t.run.context, &again) })
			if d := time.Since(begun); took == 0 || d < took {
				took = d
			}
		}
		runtime.ReadMemStats(&after)
		least = min(least, (after.Mallocs-before.Mallocs)/trialRuns)
		if r.Took == 0 || took < r.Took {
			r.Took = took
		}
		if time.Now().After(end) {
			break
		}
	}
	r.Allocs = int(least) //nolint:gosec // a count of allocations
}

// guarded makes a panic of a policy an error.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the policy panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// Last reads the last messages of a topic, at most so many, from where it is now; an empty topic takes the definition's. The
// reader saves nothing and joins no group.
func (t *Trial) Last(ctx context.Context, topic string, most int) ([]message.Message, error) {
	ctx, stop := context.WithCancel(ctx)
	running, ready := make(chan error, 1), make(chan struct{})
	go func() { running <- t.api.Run(ctx, func() { close(ready) }) }()
	defer func() { stop(); <-running }()
	<-ready
	x := &exchange.Exchange{API: t.x.API, Entrypoint: t.x.Entrypoint, QoS: qos.Auto, Plan: t.x.Plan, ClientIdentifier: t.x.ClientIdentifier}
	if topic != "" {
		x.SetAttribute("kafka.consumer.topics", topic)
	}
	r, refusal := t.backend.routeOf(x)
	if refusal != nil {
		return nil, refusal
	}
	from := r.pool.forSubscribe(x)
	if from == nil {
		return nil, noEndpoint()
	}
	end, err := t.end(ctx, from, x)
	if err != nil {
		return nil, err
	}
	at := slices.Clone(end)
	empty := true
	for i := range at {
		empty = empty && at[i].Offset < 0
		at[i].Offset = max(at[i].Offset-int64(most), -1)
	}
	if empty {
		return nil, nil
	}
	all, err := t.between(ctx, from, x, string(cursor.Append(nil, at, true)), string(cursor.Append(nil, end, true)))
	slices.SortStableFunc(all, func(a, b message.Message) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	return all[max(len(all)-most, 0):], err
}

// end is where an endpoint's messages end now.
func (t *Trial) end(ctx context.Context, from *member, x *exchange.Exchange) ([]cursor.Position, error) {
	wake := make(chan struct{}, 1)
	sub, err := from.subscribe(ctx, x, connectors.SubscribeOptions{Cursor: "latest", Wake: waker(wake)})
	if err != nil {
		return nil, err
	}
	defer sub.Close(context.WithoutCancel(ctx))
	for {
		if _, err := sub.Poll(1); err != nil {
			return nil, err
		}
		if text := sub.AppendCursor(nil); len(text) > 0 {
			c, err := cursor.Parse(string(text))
			return c.At, err
		}
		select {
		case <-wake:
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("the endpoint has no positions to read from: %w", context.Cause(ctx))
		}
	}
}

// between reads what lies between two cursors.
func (t *Trial) between(ctx context.Context, from *member, x *exchange.Exchange, first, last string) ([]message.Message, error) {
	wake := make(chan struct{}, 1)
	sub, err := from.subscribe(ctx, x, connectors.SubscribeOptions{Cursor: first, Until: last, Wake: waker(wake)})
	if err != nil {
		return nil, err
	}
	defer sub.Close(context.WithoutCancel(ctx))
	var out []message.Message
	for {
		batch, err := sub.Poll(1000)
		for i := range batch {
			if batch[i].Kind == message.Data {
				out = append(out, batch[i])
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return out, err
		case len(batch) > 0:
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return out, fmt.Errorf("read messages: %w", context.Cause(ctx))
		}
	}
}

func waker(wake chan struct{}) func() {
	return func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
