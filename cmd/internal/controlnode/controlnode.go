// Package controlnode puts a control-plane process together: the cluster's identity, NATS, the replicated state with its
// management API, and the push to workers. `sluice controlplane` and `sluice dev` both run what New returns.
package controlnode

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-gateway/sluice/cmd/internal/catalog"
	"github.com/sluice-gateway/sluice/cmd/internal/config"
	"github.com/sluice-gateway/sluice/cmd/internal/natslink"
	"github.com/sluice-gateway/sluice/cmd/internal/run"
	"github.com/sluice-gateway/sluice/cmd/internal/version"
	"github.com/sluice-gateway/sluice/connectors/builtin"
	"github.com/sluice-gateway/sluice/controlplane"
	"github.com/sluice-gateway/sluice/controlplane/identity"
	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/controlplane/rest"
	"github.com/sluice-gateway/sluice/controlplane/store"
	policies "github.com/sluice-gateway/sluice/policies/builtin"
	"github.com/sluice-gateway/sluice/proto/join"
	"github.com/sluice-gateway/sluice/proto/sealed"
)

// Config is one node.
type Config struct {
	Node            string // its id in the cluster, which never changes
	DataDir         string
	SecretFile      string // empty: cluster-secret in DataDir
	AdminTokenFile  string // empty: admin-token in DataDir
	Advertise       string // where peers reach this node; empty: Raft's address
	Peers           []store.Peer
	AutoKeylessPlan bool // sluice dev

	Raft       net.Listener
	Management net.Listener

	// NATS: embedded, on the address (empty: in-process only), clustered where routes are given; or an external one.
	NATSAddr        string
	NATSClusterAddr string
	NATSRoutes      []string
	ExternalNATS    *natslink.Link // nil: embedded

	// Properties encrypts properties of APIs; nil: there is no key.
	Properties *sealed.Key

	// Brokers maps sample addresses, so that what is deployable here is what workers can build (see connectors.Env).
	Brokers map[string]string

	Telemetry *config.Telemetry
	Log       *slog.Logger
}

// Node is a control-plane process's parts.
type Node struct {
	*controlplane.Node
	AdminToken     string
	AdminTokenFile string
	WorkerToken    join.Token
	NATS           *natsserver.Server // nil where an external cluster is used
	Runners        []run.Runner       // in the order in which they are started
}

// New reads or makes the secrets, opens the log and connects the parts. The Runners must be run once it has returned.
func New(cfg Config) (*Node, error) {
	n := &Node{AdminTokenFile: orIn(cfg.AdminTokenFile, cfg.DataDir, "admin-token")}
	secret, err := identity.LoadOrCreateSecret(orIn(cfg.SecretFile, cfg.DataDir, secretFile))
	if err != nil {
		return nil, err
	}
	if n.AdminToken, err = identity.LoadOrCreateToken(n.AdminTokenFile); err != nil {
		return nil, err
	}
	id, err := identity.New(secret, identity.Config{Node: cfg.Node})
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if cfg.ExternalNATS != nil {
		n.WorkerToken, err = id.ExternalToken(cfg.ExternalNATS.Servers)
	} else {
		n.WorkerToken, err = id.WorkerToken(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("worker token: %w", err)
	}
	if err := writeToken(filepath.Join(cfg.DataDir, tokenFile), n.WorkerToken.String()); err != nil {
		return nil, fmt.Errorf("worker token: %w", err)
	}
	nc, err := n.connect(cfg, id)
	if err != nil {
		return nil, err
	}
	meter := cfg.Telemetry.Meter.Meter("github.com/sluice-gateway/sluice/controlplane")
	validation := catalog.Validation(builtin.Entrypoints, builtin.Endpoints)
	deployable := catalog.Deployable(builtin.Entrypoints, builtin.Endpoints, policies.Policies, policies.Resources, cfg.Brokers)
	n.Node, err = controlplane.New(controlplane.Config{
		Store: store.Config{NodeID: cfg.Node, DataDir: cfg.DataDir, Advertise: cfg.Advertise, Peers: cfg.Peers},
		REST:  rest.Config{Token: n.AdminToken, Version: version.String(), AutoKeylessPlan: cfg.AutoKeylessPlan, Properties: cfg.Properties},
	}, controlplane.Deps{
		Identity: id, Peers: cfg.Raft, Management: cfg.Management,
		Push:              func(s *controlplane.Source) (controlplane.Push, error) { return newPush(cfg, id, nc, s, meter) },
		Validate:          catalog.Validate(validation, deployable),
		CheckSubscription: catalog.CheckSubscription(builtin.Entrypoints),
		Deployable:        deployable,
		Try:               catalog.Try(builtin.Entrypoints, builtin.Endpoints, policies.Policies, policies.Resources, cfg.Brokers),
		Probes:            map[string]rest.Probe{"nats": func(context.Context) error { return probe(nc) }},
		Log:               cfg.Log, Meter: meter,
	})
	if err != nil {
		nc.Close()
		return nil, err
	}
	n.Runners = append(n.Runners, run.Runner{Name: "NATS client", Run: func(ctx context.Context) error {
		<-ctx.Done()
		nc.Close()
		return nil
	}}, run.Runner{Name: "control plane", Run: n.Run})
	return n, nil
}

// Files in a node's data directory.
const (
	secretFile = "cluster-secret"
	tokenFile  = "worker-token"
)

// rolloutPush is a push with what the management API asks of it.
type rolloutPush struct{ rollout }

// Run implements controlplane.Push, as what follows does.
func (p rolloutPush) Run(ctx context.Context) error { return p.push.Run(ctx) }

func (p rolloutPush) Changed() <-chan struct{}              { return p.push.Changed() }
func (p rolloutPush) Failed() []push.SubscriptionState      { return p.push.Failed() }
func (p rolloutPush) Ended() []push.ReplayEnd               { return p.push.Ended() }
func (p rolloutPush) Candidates(id string) ([]string, bool) { return p.push.Candidates(id) }

func newPush(cfg Config, id *identity.Identity, nc *nats.Conn, s *controlplane.Source, meter metric.Meter) (controlplane.Push, error) {
	var key ed25519.PrivateKey
	key, err := id.BundleKey()
	if err != nil {
		return nil, err
	}
	p, err := push.New(push.Config{Cluster: id.ClusterID(), Node: cfg.Node, Key: key, Log: cfg.Log, Meter: meter}, nc, source{s})
	if err != nil {
		return nil, err
	}
	return rolloutPush{rollout{p}}, nil
}

var errNATSAway = errors.New("not connected to NATS: workers get no changes until it is back, and serve what they have")

func probe(nc *nats.Conn) error {
	if nc.IsConnected() {
		return nil
	}
	if err := nc.LastError(); err != nil {
		return fmt.Errorf("%w (%w)", errNATSAway, err)
	}
	return errNATSAway
}

func orIn(path, dir, name string) string {
	if path == "" {
		return filepath.Join(dir, name)
	}
	return path
}

// writeToken keeps the worker token where the operator finds it, readable by nobody else.
func writeToken(path, token string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(token+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
