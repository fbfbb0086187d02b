// Package workernode puts a worker process together: what it measures with, the data plane and the feed from the control
// plane. `sluice worker` and `sluice dev` both run what New returns.
package workernode

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/cmd/internal/config"
	"github.com/sluice-gateway/sluice/cmd/internal/natslink"
	"github.com/sluice-gateway/sluice/cmd/internal/run"
	"github.com/sluice-gateway/sluice/cmd/internal/version"
	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/builtin"
	"github.com/sluice-gateway/sluice/dataplane"
	"github.com/sluice-gateway/sluice/dataplane/dispatch"
	"github.com/sluice-gateway/sluice/dataplane/feed"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/dataplane/server"
	policies "github.com/sluice-gateway/sluice/policies/builtin"
	"github.com/sluice-gateway/sluice/proto/join"
	"github.com/sluice-gateway/sluice/proto/sealed"
)

// Config is one worker.
type Config struct {
	Node       string // its name, unique in the cluster
	Gateway    net.Listener
	Admin      net.Listener
	AdminToken string
	GatewayTLS *tls.Config // nil: plain
	Tags       []string
	Tenant     string          // see flow.Config
	Push       dispatch.Config // its zero value: the defaults
	Limits     connectors.Limits
	Brokers    map[string]string // see connectors.Env
	// Properties: see dataplane.Config.
	Properties *sealed.Key
	// WebhookAllow: see connectors.Env.
	WebhookAllow []netip.Prefix
	// CalloutAllow: see dataplane.Config.
	CalloutAllow []netip.Prefix

	// How it reaches the control plane: the token says whose definitions to trust, NATS where they come from.
	Token     join.Token
	NATS      natslink.Link
	InProcess nats.InProcessConnProvider // an embedded server, instead of NATS

	RatesRedis   string // see dataplane.Config
	OTLPEndpoint string
	Log          *slog.Logger
}

// New returns the worker's parts in the order in which they are started.
func New(ctx context.Context, cfg Config) ([]run.Runner, error) {
	counters := meter.NewRegistry()
	telemetry, err := config.NewTelemetry(ctx, config.TelemetryConfig{Node: cfg.Node, Version: version.String(), OTLPEndpoint: cfg.OTLPEndpoint}, counters)
	if err != nil {
		return nil, err
	}
	limits := cfg.Limits
	if limits == (connectors.Limits{}) {
		limits = connectors.DefaultLimits
	}
	serverConfig := server.DefaultConfig
	serverConfig.TLS = cfg.GatewayTLS
	worker, err := dataplane.New(dataplane.Config{
		ID: cfg.Node, Name: "sluice worker", Version: version.String(), AdminToken: cfg.AdminToken,
		Server: serverConfig, Limits: limits, Brokers: cfg.Brokers, WebhookAllow: cfg.WebhookAllow, CalloutAllow: cfg.CalloutAllow, Properties: cfg.Properties, Tags: cfg.Tags, Tenant: cfg.Tenant, Push: cfg.Push, RatesRedis: cfg.RatesRedis,
	}, dataplane.Deps{
		Entrypoints: builtin.Entrypoints, Endpoints: builtin.Endpoints, Policies: policies.Policies, Resources: policies.Resources,
		Gateway: []net.Listener{cfg.Gateway}, Admin: cfg.Admin, Log: cfg.Log,
		Meter: telemetry.Meter, Tracer: telemetry.Tracer, Gatherer: telemetry.Gatherer, Counters: counters,
		Feed: func(w *dataplane.Worker) (dataplane.Feed, error) { return newFeed(cfg, telemetry, w) },
	})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return []run.Runner{{Name: "telemetry", Run: telemetry.Run}, {Name: "worker", Run: worker.Run}}, nil
}

func newFeed(cfg Config, telemetry *config.Telemetry, w *dataplane.Worker) (*feed.Feed, error) {
	fc := feed.Config{
		Cluster: cfg.Token.Cluster, Worker: cfg.Node, Tags: cfg.Tags, Version: version.String(),
		Keys: []ed25519.PublicKey{cfg.Token.BundleKey}, InProcess: cfg.InProcess,
		Servers: cfg.NATS.Servers, TLS: cfg.NATS.TLS, Login: cfg.NATS.Login, Explain: cfg.NATS.Explain,
		Connections: w.Connections, Log: cfg.Log, Meter: telemetry.Meter.Meter("github.com/sluice-gateway/sluice/dataplane/feed"),
	}
	if !cfg.Token.External {
		fc.Seed = []byte(cfg.Token.Seed)
	}
	fc.Beside = w.Rates().Run
	fc.Subscriptions = dataplane.Standing(w.Subscriptions())
	f, err := feed.New(fc, w.Sink(cfg.Node, w.Subscriptions(), cfg.Log))
	if err != nil {
		return nil, err
	}
	w.Subscriptions().Watch(f.SubscriptionsChanged)
	return f, nil
}

// ReadToken reads a worker token file.
func ReadToken(path string) (join.Token, error) {
	f, err := os.Open(path)
	if err != nil {
		return join.Token{}, fmt.Errorf("worker token: %w; copy it from a control-plane node's data directory", err)
	}
	defer f.Close()
	const most = 16 << 10
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return join.Token{}, fmt.Errorf("worker token %s: %w", path, err)
	}
	token, err := join.Parse(string(b))
	if err != nil {
		return join.Token{}, fmt.Errorf("worker token %s: %w", filepath.Clean(path), err)
	}
	return token, nil
}
