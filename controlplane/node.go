// Package controlplane assembles one node of the control plane: the replicated state (fsm, store), the way to its leader
// (proxy), what tells workers (push, given by cmd) and the management API (rest). See DESIGN.md for how they work
// together. Node.Run owns every goroutine.
package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/controlplane/identity"
	"github.com/sluice-gateway/sluice/controlplane/proxy"
	"github.com/sluice-gateway/sluice/controlplane/rest"
	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// Config is what a node is set to.
type Config struct {
	Store store.Config
	REST  rest.Config
	// JoinThrough is the address of a node of the cluster to join; with Store.Joining.
	JoinThrough string
}

// Push tells workers what is deployed, and what they make of it.
type Push interface {
	rest.Rollout
	Reports
	// Run tells and listens until ctx ends.
	Run(ctx context.Context) error
}

// Deps are what a node is given. It closes the listeners.
type Deps struct {
	Identity   *identity.Identity
	Peers      net.Listener // raft and forwarded requests
	Management net.Listener
	// Push is called once, with what there is to push; nil: nobody is told.
	Push func(*Source) (Push, error)
	// Validate and Deployable: see rest.Deps.
	Validate   func(*apidef.Document) apidef.Problems
	Deployable func(*apidef.API) apidef.Problems
	// CheckSubscription: see rest.Deps.
	CheckSubscription func(entrypoint string, cfg json.RawMessage) (apidef.Problems, bool)
	// Try: see rest.Deps.
	Try func(context.Context, *apidef.API, management.Trial) (*management.TrialReport, error)
	// Probes are added to the health of the node, e.g. "nats".
	Probes map[string]rest.Probe
	Log    *slog.Logger
	Meter  metric.Meter
}

// Node is one node of the control plane.
type Node struct {
	cfg    Config
	deps   Deps
	store  *store.Store
	proxy  *proxy.Proxy
	source *Source
	push   Push
	rest   *rest.Server
	gauges metric.Registration
}

// New opens the log and assembles the parts. Run must be called once New has returned.
func New(cfg Config, deps Deps) (*Node, error) {
	if deps.Identity == nil || deps.Log == nil || deps.Meter == nil {
		return nil, errors.New("control plane: identity, log and meter are required")
	}
	n := &Node{cfg: cfg, deps: deps}
	machine := fsm.New()
	var err error
	n.store, err = store.New(cfg.Store, store.Deps{FSM: machine, Listener: deps.Peers, TLS: deps.Identity.PeerTLS(), Log: deps.Log})
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	if err := n.assemble(); err != nil {
		return nil, errors.Join(fmt.Errorf("control plane: %w", err), n.abandon())
	}
	return n, nil
}

// assemble builds what stands on the store.
func (n *Node) assemble() error {
	n.proxy = proxy.New(n.store)
	n.source = newSource(n.store, n.proxy.Read)
	var rollout rest.Rollout
	if n.deps.Push != nil {
		var err error
		if n.push, err = n.deps.Push(n.source); err != nil {
			return fmt.Errorf("push: %w", err)
		}
		rollout = n.push
	}
	var err error
	n.rest, err = rest.New(n.cfg.REST, rest.Deps{
		Listener: n.deps.Management, Replica: n.proxy, Cluster: cluster{n.store, n.proxy}, Rollout: rollout,
		Validate: n.deps.Validate, Deployable: n.deps.Deployable, CheckSubscription: n.deps.CheckSubscription, Try: n.deps.Try, Log: n.deps.Log, Meter: n.deps.Meter,
	})
	if err != nil {
		return err //nolint:wrapcheck // it names the management API
	}
	n.gauges, err = observe(n.deps.Meter, n.store)
	return err
}

// abandon stops a store that will not run.
func (n *Node) abandon() error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return n.store.Run(ended) //nolint:wrapcheck // joined by New
}

// Run serves until ctx ends, then stops in the reverse of the order of starting: no new requests, then nobody is
// told, then the log.
func (n *Node) Run(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	st := start(base, "store", n.store.Run)
	runners := []*runner{st, start(base, "source", n.source.run)}
	if n.push != nil {
		recorder := &recorder{store: n.store, proxy: n.proxy, reports: n.push, log: n.deps.Log}
		runners = append(runners, start(base, "push", n.push.Run), start(base, "recorder", recorder.run))
	}
	if n.cfg.JoinThrough != "" {
		runners = append(runners, start(base, "join", n.join))
	}
	runners = append(runners, start(base, "management API", n.rest.Run))
	err := waitAny(ctx, runners)
	for i := len(runners) - 1; i >= 0; i-- {
		err = errors.Join(err, runners[i].stop())
	}
	return errors.Join(err, n.gauges.Unregister())
}

// join asks to be taken into the cluster until it is.
func (n *Node) join(ctx context.Context) error {
	for {
		l := n.store.Leadership()
		err := n.store.Join(ctx, n.cfg.JoinThrough)
		if err == nil {
			<-ctx.Done()
			return nil
		}
		n.deps.Log.Warn("the cluster did not take this node in", "through", n.cfg.JoinThrough, "err", err)
		if !pause(ctx, l.Changed()) {
			return nil
		}
	}
}

// Source is what there is to push.
func (n *Node) Source() *Source { return n.source }

// Address is where peers reach this node.
func (n *Node) Address() string { return n.store.Address() }

// Handler is the management API, for those who serve it themselves.
func (n *Node) Handler() http.Handler { return n.rest.Handler() }

// Status is this node's view of the cluster.
func (n *Node) Status() (store.Status, error) {
	return n.store.Status() //nolint:wrapcheck // the store's own
}

// cluster is the membership as the management API needs it.
type cluster struct {
	*store.Store
	proxy *proxy.Proxy
}

func (c cluster) AddMember(ctx context.Context, id, address string) error {
	return c.proxy.AddMember(ctx, id, address) //nolint:wrapcheck // rest sorts these errors
}

func (c cluster) RemoveMember(ctx context.Context, id string) error {
	return c.proxy.RemoveMember(ctx, id) //nolint:wrapcheck // rest sorts these errors
}
