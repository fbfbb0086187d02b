package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/dataplane/table"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/callout"
	"github.com/sluice-gateway/sluice/policies/rates"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/sealed"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// ErrNotServed is wrapped by what New returns for a kind of API that this version stores but does not serve.
var ErrNotServed = errors.New("this kind is not served yet by this version")

// Codes of the problems that only the data plane finds; the others are the definition's own (spec 8.2). They never
// change meaning.
const (
	codePlan        = "plan.unsupported"              // a plan that this version cannot enforce
	codeNoPlan      = "plan.missing"                  // nobody may call the API
	codePolicy      = "flow.step.policy.unknown"      // no policy of this version
	codePhase       = "flow.step.phase.invalid"       // a policy in a phase that it has not
	codeExpression  = "flow.expression.invalid"       // an expression that does not parse
	codeResource    = "resource.type.unknown"         // no resource of this version; a warning, since policies tell where they miss it
	codeProperty    = "properties.encryption.invalid" // an encrypted property that this worker cannot open
	codeGroup       = "flow.step.sharedPolicyGroup.invalid"
	codeFailureMode = "flow.step.failureMode.invalid"
	codeEntrypoint  = "listeners.entrypoints.type.unsupported"
	codeEntrypoints = "listeners.entrypoints.missing"
	codeQoS         = "listeners.entrypoints.qos.unsupported"
	codeEndpoint    = "api.endpointsGroup.endpoint.type.invalid"
	codeNoEndpoint  = "endpoint.missing"
	// Dead letters (spec 4.3).
	codeDLQUnsupported = "listeners.entrypoints.dlq.unsupported"
	codeDLQInvalid     = "listeners.entrypoints.dlq.invalid"
	codePath           = "path.invalid"
	codeBalancer       = "api.endpointsGroup.loadBalancer.invalid"
	codeKind           = "apiType.notAllowed" // a kind of API that this version stores and does not serve
)

// Config is what all APIs of a worker are built with.
type Config struct {
	Entrypoints connectors.Entrypoints
	Endpoints   connectors.Endpoints
	Policies    policies.Catalog // nil: no step can run
	Resources   resource.Catalog // nil: APIs have none
	// Dial is how policies and resources connect outwards; nil: as the default callout.Guard lets them.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Limits connectors.Limits
	Rates  rates.Counters // see policies.Env
	// Dictionaries are the environment's, for expressions; nil: none.
	Dictionaries policies.Dictionaries
	// Properties opens the encrypted properties of APIs; nil: there is no key, and such APIs are refused.
	Properties *sealed.Key
	Brokers    map[string]string // see connectors.Env
	Tags       []string          // the worker's sharding tags, which plans may be bound to; empty: every plan counts
	Tenant     string            // the worker's tenant, which endpoints may be bound to; empty: every endpoint counts
	Log        *slog.Logger
	Meter      metric.Meter
	Counters   *meter.Registry
	Tracer     trace.Tracer    // nil: no spans
	Loop       *eventloop.Loop // see connectors.Env
	// WebhookAllow: see connectors.Env.
	WebhookAllow []netip.Prefix
}

// Deployment is one revision of a definition and where it comes from.
type Deployment struct {
	ID           string
	Organization string
	Environment  string
	Revision     uint64
	DeployedAt   time.Time // zero: unknown
	API          *apidef.API
}

// New compiles a definition. Nothing is started, dialled or listened on. Where the definition cannot be served as it is
// written, the error is apidef.Problems with everything that is in the way; nothing is left out in silence.
func New(cfg Config, d Deployment) (*API, error) {
	b, err := compile(cfg, d, false)
	if err != nil {
		return nil, err
	}
	if err := b.problems.Err(); err != nil {
		b.api.held.close(b.log)
		return nil, b.problems.Errors()
	}
	for _, p := range b.problems.Warnings() {
		b.api.Warnings = append(b.api.Warnings, p.Pointer+" "+p.Message)
	}
	slices.SortStableFunc(b.api.entrypoints, func(x, y entrypoint) int { return y.criteria - x.criteria })
	return b.api, nil
}

// Check compiles a definition to find out what New would say of it, and what it would serve without: errors are why it
// cannot be served, warnings are parts that have no effect. Pointers are into the normal form.
func Check(cfg Config, d Deployment) apidef.Problems {
	b, err := compile(cfg, d, true)
	if err != nil {
		return apidef.Problems{{Pointer: "/type", Code: codeKind, Severity: apidef.Error, Message: err.Error()}}
	}
	b.api.held.close(b.log)
	return b.problems
}

// compile builds what can be built and collects what is wrong. checking: nobody will run it, and what only workers know is
// not known.
func compile(cfg Config, d Deployment, checking bool) (*builder, error) {
	if d.API.Type != apidef.TypeMessage {
		return nil, fmt.Errorf("type %q: %w", d.API.Type, ErrNotServed)
	}
	if cfg.Dial == nil {
		cfg.Dial = callout.Guard{}.Dial
	}
	b := &builder{checking: checking, built: map[string]*member{}, pools: map[int]*pool{}, cfg: cfg, def: d.API, log: cfg.Log.With("api", d.ID, "revision", d.Revision)}
	b.api = &API{
		Info:          info(d),
		log:           b.log,
		held:          new(held),
		limits:        cfg.Limits,
		idle:          make(chan struct{}, 1),
		push:          map[string]*pushEntrypoint{},
		pushPlans:     map[string]bool{},
		subscriptions: map[*subscription]struct{}{},
	}
	b.flows()
	b.plans()
	b.api.engine = b.engine
	b.listeners()
	b.unusedEndpoints()
	b.ignored()
	return b, nil
}

func info(d Deployment) *exchange.API {
	out := &exchange.API{ID: d.ID, Name: d.API.Name, Version: d.API.APIVersion,
		Organization: d.Organization, Environment: d.Environment, Revision: d.Revision}
	if !d.DeployedAt.IsZero() {
		out.DeployedAt = strconv.FormatInt(d.DeployedAt.UnixMilli(), 10)
	}
	return out
}

// builder collects one API and all that is wrong with it.
type builder struct {
	cfg      Config
	checking bool
	def      *apidef.API
	log      *slog.Logger
	api      *API
	built    map[string]*member // endpoints in use, by their place in the definition; nil: it cannot be built
	pools    map[int]*pool      // of groups in use; nil: cannot be built
	engine   *engine
	shared   map[string]any // resources, by name
	problems apidef.Problems
}

func (b *builder) fail(pointer, code, format string, args ...any) {
	b.problems = append(b.problems, apidef.Problem{Pointer: pointer, Code: code, Severity: apidef.Error, Message: fmt.Sprintf(format, args...)})
}

func (b *builder) warn(pointer, format string, args ...any) {
	b.warnOf(connectors.CodeUnknown, pointer, format, args...)
}

func (b *builder) warnOf(code, pointer, format string, args ...any) {
	b.problems = append(b.problems, apidef.Problem{Pointer: pointer, Code: code, Severity: apidef.Warning, Message: fmt.Sprintf(format, args...)})
}

// add takes over what a connector said of its configuration at pointer.
func (b *builder) add(pointer string, ps apidef.Problems) {
	for _, p := range ps {
		p.Pointer = pointer + p.Pointer
		b.problems = append(b.problems, p)
	}
}

// ignored warns of what the definition asks for and this version does not do, where serving without it lets nobody in
// who should stay out and loses no message.
func (b *builder) ignored() {
	if f := b.def.Failover; f != nil && f.Enabled {
		b.warn("/failover", "has no effect yet in this version")
	}
	if a := b.def.Analytics; a != nil && (a.Tracing != nil || len(a.Logging) > 0) {
		b.warn("/analytics", "logging and tracing of one API have no effect yet in this version; tracing is switched for the worker")
	}
	for i, g := range b.def.EndpointGroups {
		at := fmt.Sprintf("/endpointGroups/%d", i)
		b.ignoredServices(at, g.Services)
		for j, e := range g.Endpoints {
			b.ignoredServices(fmt.Sprintf("%s/endpoints/%d", at, j), e.Services)
		}
	}
}

// ignoredServices warns of services that are not run (spec 1.7): an endpoint that is away is noticed by what clients meet.
func (b *builder) ignoredServices(at string, s *apidef.GroupServices) {
	if s == nil {
		return
	}
	if s.Discovery != nil && on(s.Discovery.Enabled) {
		b.warn(at+"/services/discovery", "has no effect yet in this version: only the endpoints that are listed are used")
	}
	if s.HealthCheck != nil && on(s.HealthCheck.Enabled) {
		b.warn(at+"/services/healthCheck", "has no effect yet in this version: an endpoint rests when connections to it fail")
	}
}

// routes adds the paths of an HTTP listener.
func (b *builder) routes(at string, l *apidef.Listener) {
	for i, p := range l.Paths {
		r := table.Route{Host: p.Host, Path: p.Path}
		if err := r.Check(); err != nil {
			b.fail(fmt.Sprintf("%s/paths/%d", at, i), codePath, "%v", err)
			continue
		}
		b.api.Routes = append(b.api.Routes, r)
	}
}
