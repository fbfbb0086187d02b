// Package admin is the technical API of a node on its own port: identity, health, readiness, what is served and pushed, metrics and
// profiles (spec 10.3). It reads and changes nothing. Run owns its goroutines.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/dispatch"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/proto/admintoken"
)

// Bounds of the port: it answers people and probes, never clients of an API.
const (
	headerTimeout = 5 * time.Second
	grace         = 2 * time.Second
	scrapes       = 3 // at once (spec 10.3 concurrencyLimit)
)

// Config is who answers and who may ask.
type Config struct {
	ID, Name, Version string
	// Token is the password of user admin, or a bearer token. Health and readiness need none.
	Token string
}

// APIs are those of the node, as the reactor has them.
type APIs interface {
	States() []reactor.Status
	State(id string) (reactor.Status, bool)
}

// Subscriptions are the push subscriptions that the node runs.
type Subscriptions interface {
	States() []dispatch.State
	Attempts(id string) []connectors.Attempt
}

// Probe tells whether something works: nil, or what is wrong.
type Probe struct {
	Check func(ctx context.Context) error
	// Hidden leaves the probe out unless it is asked for by name.
	Hidden bool
}

// Deps are what the answers are read from.
type Deps struct {
	APIs          APIs
	Subscriptions Subscriptions
	Ready         func() error // nil: ready; else why not
	Probes        map[string]Probe
	Gatherer      prometheus.Gatherer // nil: no metrics, answered with 501
	Log           *slog.Logger
}

// Server is the technical API.
type Server struct {
	cfg  Config
	deps Deps
	ln   net.Listener
	http http.Server

	token admintoken.Token
}

// New returns a server on ln, which Run closes. A token is required: half of what it shows is nobody else's business.
func New(cfg Config, ln net.Listener, deps Deps) (*Server, error) {
	if cfg.Token == "" {
		return nil, errors.New("admin: no token")
	}
	s := &Server{cfg: cfg, deps: deps, ln: ln, token: admintoken.New(cfg.Token)}
	s.http = http.Server{Handler: s.routes(), ReadHeaderTimeout: headerTimeout, ErrorLog: slog.NewLogLogger(deps.Log.Handler(), slog.LevelDebug)}
	return s, nil
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", s.ln.Addr(), err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.http.Shutdown(bounded)
	if err != nil {
		err = s.http.Close() // a profile or a trace that somebody still takes
	}
	<-failed
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_node/health", s.health)
	mux.HandleFunc("GET /_node/ready", s.ready)
	private := map[string]http.HandlerFunc{
		"GET /{$}":                      s.node,
		"GET /_node":                    s.node,
		"GET /_node/{$}":                s.node,
		"GET /_node/apis":               s.apis,
		"GET /_node/apis/{id}":          s.api,
		"GET /_node/subscriptions":      s.subscriptions,
		"GET /_node/subscriptions/{id}": s.subscription,
		"GET /_node/metrics/prometheus": s.metrics(),
		"/_node/debug/pprof/":           profiles,
	}
	for pattern, h := range private {
		mux.Handle(pattern, s.token.Protect(h))
	}
	return mux
}

func (s *Server) metrics() http.HandlerFunc {
	if s.deps.Gatherer == nil {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotImplemented) }
	}
	return promhttp.HandlerFor(s.deps.Gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: scrapes}).ServeHTTP
}

// profiles serves net/http/pprof, which knows only its own path.
func profiles(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/_node/debug/pprof/")
	switch name {
	case "":
		r.URL.Path = "/debug/pprof/"
		pprof.Index(w, r)
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Handler(name).ServeHTTP(w, r)
	}
}
