// Package rest is the management API: it takes what people and programs want changed, checks it, has it replicated and
// answers, with OpenAPI 3.1 made from the handlers' types. It keeps nothing: what it knows it reads from the replicated
// state, and what must not race is decided there (controlplane/fsm), not here.
//
// It does not know which connectors exist, how the cluster replicates or how workers are told: see Deps.
// Run owns the HTTP server's goroutines.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
	"github.com/sluice-gateway/sluice/proto/sealed"
)

const (
	// maxBody bounds a request body, in bytes (docs: 413 above it). It is also what proto/apidef reads of a definition.
	maxBody = 4 << 20
	// maxHeader bounds the headers of a request, in bytes.
	maxHeader = 64 << 10
	// readTimeout bounds the reading of a request with its body.
	readTimeout = 30 * time.Second
	// idleTimeout is how long a connection may stand unused.
	idleTimeout = 2 * time.Minute
	// leaderTimeout is how long a request looks for a leader. An election takes up to 2.1 s (controlplane/store), twice
	// that on a bad day.
	leaderTimeout = 10 * time.Second
	// maxWait bounds ?wait.
	maxWait = time.Minute
	// drainTimeout is how long requests may take to end when the server stops.
	drainTimeout = 5 * time.Second
)

// Replica is the replicated state, seen from this node. Its methods are called by every request, from any goroutine.
type Replica interface {
	// Propose has a command applied once, wherever the leader is, and returns when the local state holds it. A refusal
	// is a result with an error; errors are ErrNoLeader and ErrOutcomeUnknown of controlplane/proxy, or of ctx.
	Propose(ctx context.Context, cmd *command.Command) (*command.Result, error)
	// Read returns a state that holds every change acknowledged before the call.
	Read(ctx context.Context) (*fsm.State, error)
	// State is the local view, which may be behind.
	State() *fsm.State
}

// Cluster is the control plane's membership.
type Cluster interface {
	// Status is this node's view; it asks nobody.
	Status() (store.Status, error)
	// AddMember and RemoveMember change the membership, wherever the leader is.
	AddMember(ctx context.Context, id, address string) error
	RemoveMember(ctx context.Context, id string) error
}

// Rollout tells what workers make of what is deployed; controlplane/push does, through cmd.
type Rollout interface {
	// Await returns when every live worker has said what it made of the API at this revision or a later one: it serves
	// it, has dropped it, or could not build it. It may return early where one could not. Where ctx ends first, it returns
	// what is known with an error; workers that have not said yet are WorkerPending. No live worker is an empty list.
	Await(ctx context.Context, apiID string, revision uint64) ([]management.WorkerOutcome, error)
	// Outcomes is what each live worker makes of the API at this revision, now.
	Outcomes(apiID string, revision uint64) []management.WorkerOutcome
	// Workers lists every worker that is known, by id.
	Workers() []management.Worker
	// Subscription says how a subscription stands on each live worker that should serve it, as far as they have said.
	Subscription(id string) []management.WorkerSubscription
	// Attempts asks the workers for the last attempts to deliver to a subscriber, at most limit, within a few seconds.
	Attempts(ctx context.Context, id string, limit int) (management.Attempts, error)
}

// Config is what the management API is set to.
type Config struct {
	Token   string // the admin token: Bearer, or the password of Basic
	Version string // of the binary, in the OpenAPI document
	// AutoKeylessPlan gives an API that is created without a plan a published keyless one, with a warning. Only
	// sluice dev sets it.
	AutoKeylessPlan bool
	// Properties encrypts properties that are to be encrypted; nil: there is no key, and such properties are refused.
	Properties *sealed.Key
	// Other serves what is not under /management, the console; nil: 404.
	Other http.Handler
}

// Deps are what the management API is given.
type Deps struct {
	Listener net.Listener
	Replica  Replica
	Cluster  Cluster
	Rollout  Rollout // nil: no worker is ever known
	// Validate checks a decoded definition against the connectors and policies there are.
	Validate func(*apidef.Document) apidef.Problems
	// Deployable tells why an API, whole and with its plans, cannot be served.
	Deployable func(*apidef.API) apidef.Problems
	// CheckSubscription checks the configuration of a subscription against the entrypoint of that type: every problem,
	// pointers relative to it. It reports false for a type that serves no subscriptions. nil: none does.
	CheckSubscription func(entrypoint string, cfg json.RawMessage) (apidef.Problems, bool)
	// Try runs a draft's flows on messages, without a trace; see management.Trial. nil: drafts cannot be tried here.
	Try   func(context.Context, *apidef.API, management.Trial) (*management.TrialReport, error)
	Log   *slog.Logger
	Meter metric.Meter
}

// Server is the management API.
type Server struct {
	cfg     Config
	deps    Deps
	token   tokenCheck
	api     huma.API
	mux     *http.ServeMux
	metrics *metrics
	trying  chan struct{} // has room for the trials that may be under way
}

// New builds the management API.
func New(cfg Config, deps Deps) (*Server, error) {
	switch {
	case cfg.Token == "":
		return nil, errors.New("management API: an admin token is required")
	case deps.Replica == nil, deps.Cluster == nil, deps.Validate == nil, deps.Deployable == nil, deps.Log == nil, deps.Meter == nil:
		return nil, errors.New("management API: replica, cluster, checks, log and meter are required")
	}
	if deps.CheckSubscription == nil {
		deps.CheckSubscription = func(string, json.RawMessage) (apidef.Problems, bool) { return nil, false }
	}
	if deps.Rollout == nil {
		deps.Rollout = nobody{}
	}
	m, err := newMetrics(deps.Meter)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, deps: deps, token: newTokenCheck(cfg.Token), mux: http.NewServeMux(), metrics: m, trying: make(chan struct{}, 1)}
	s.api = humago.New(s.mux, s.describe())
	s.api.UseMiddleware(asBadRequest)
	s.registerAPIs()
	s.registerDocuments()
	if deps.Try != nil {
		s.registerTry()
	}
	s.registerLifecycle()
	s.registerPlans()
	s.registerSubscriptions()
	s.registerReplays()
	s.registerGroups()
	s.registerCluster()
	if err := s.serveOpenAPI(); err != nil {
		return nil, err
	}
	return s, nil
}

// Run serves until ctx ends, then lets requests end.
func (s *Server) Run(ctx context.Context) error {
	if s.deps.Listener == nil {
		return errors.New("management API: a listener is required")
	}
	server := &http.Server{
		Handler: s.Handler(), ReadTimeout: readTimeout, ReadHeaderTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelDebug), // broken clients
		BaseContext: func(net.Listener) context.Context { // requests may end, and those that wait are told to
			return context.WithValue(context.WithoutCancel(ctx), stoppingKey{}, ctx)
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.deps.Listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve management API: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if err != nil {
		err = errors.Join(fmt.Errorf("drain management API: %w", err), server.Close())
	}
	<-served
	return err
}

type stoppingKey struct{}

// stopping is done when the server that a request came to stops.
func stopping(ctx context.Context) context.Context {
	if run, ok := ctx.Value(stoppingKey{}).(context.Context); ok {
		return run
	}
	return ctx
}

// nobody is the rollout where no worker is ever known.
type nobody struct{}

func (nobody) Await(context.Context, string, uint64) ([]management.WorkerOutcome, error) {
	return nil, nil
}
func (nobody) Outcomes(string, uint64) []management.WorkerOutcome  { return nil }
func (nobody) Workers() []management.Worker                        { return nil }
func (nobody) Subscription(string) []management.WorkerSubscription { return nil }
func (nobody) Attempts(context.Context, string, int) (management.Attempts, error) {
	return management.Attempts{Data: []management.Attempt{}}, nil
}
