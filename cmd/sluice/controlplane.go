package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/config"
	"github.com/sluice-gateway/sluice/cmd/internal/controlnode"
	"github.com/sluice-gateway/sluice/cmd/internal/natslink"
	"github.com/sluice-gateway/sluice/cmd/internal/run"
	"github.com/sluice-gateway/sluice/cmd/internal/version"
	"github.com/sluice-gateway/sluice/controlplane/store"
)

type controlFlags struct {
	common
	management, raft, advertise, peers, secretFile string
	natsAddr, natsClusterAddr, natsRoutes          string
	nats                                           natslink.Flags
}

func newControlPlane() *cobra.Command {
	var f controlFlags
	cmd := &cobra.Command{
		Use: "controlplane", Args: cobra.NoArgs, Short: "Run a control-plane node: management API, replicated definitions, push to workers",
		Long: "Run one node, or three or five that are given the same --peers and the same cluster secret file.\n" +
			"The first start makes the cluster secret, the admin token and the worker token in the data directory.",
		Example: "  sluice controlplane --data-dir /var/lib/sluice\n" +
			"  sluice controlplane --node-id n1 --raft-addr 10.0.0.1:7946 --peers n1=10.0.0.1:7946,n2=10.0.0.2:7946,n3=10.0.0.3:7946 \\\n" +
			"      --nats-addr 10.0.0.1:4222 --nats-cluster-addr 10.0.0.1:6222 --nats-routes 10.0.0.1:6222,10.0.0.2:6222,10.0.0.3:6222",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.checkNATS(cmd.Flags().Changed); err != nil {
				return err
			}
			return f.run(cmd.Context())
		},
	}
	cmd.AddCommand(newToken())
	f.register(cmd.Flags(), "node-1", defaultControlDir)
	fl := cmd.Flags()
	fl.StringVar(&f.management, "management-addr", defaultManagement, "address of the management API")
	fl.StringVar(&f.raft, "raft-addr", "127.0.0.1:7946", "address for the other nodes")
	fl.StringVar(&f.advertise, "raft-advertise", "", "address at which the other nodes reach it (default --raft-addr)")
	fl.StringVar(&f.peers, "peers", "", "the first members, the same on every node: id=host:port,... (default: this node alone)")
	fl.StringVar(&f.secretFile, "cluster-secret-file", "", "the cluster's secret, the same on every node (default <data-dir>/cluster-secret)")
	fl.StringVar(&f.natsAddr, "nats-addr", "127.0.0.1:4222", "address of the embedded NATS for workers")
	fl.StringVar(&f.natsClusterAddr, "nats-cluster-addr", "", "address of the embedded NATS for the other nodes")
	fl.StringVar(&f.natsRoutes, "nats-routes", "", "--nats-cluster-addr of all nodes, comma-separated")
	f.nats.Register(fl, "use this external NATS cluster instead of the embedded one, comma-separated")
	return cmd
}

// checkNATS refuses flags of the embedded NATS beside those of an external one.
func (f *controlFlags) checkNATS(given func(string) bool) error {
	for _, own := range []string{"nats-addr", "nats-cluster-addr", "nats-routes"} {
		if f.nats.URLs != "" && given(own) {
			return fmt.Errorf("--%s is for the embedded NATS, and --nats-url uses another one: drop one of the two", own)
		}
	}
	return nil
}

func (f *controlFlags) run(ctx context.Context) error {
	log, err := f.logger()
	if err != nil {
		return err
	}
	peers, err := parsePeers(f.peers)
	if err != nil {
		return err
	}
	external, err := f.nats.External()
	if err != nil {
		return err
	}
	telemetry, err := config.NewTelemetry(ctx, config.TelemetryConfig{Node: f.node, Version: version.String(), OTLPEndpoint: f.otlp})
	if err != nil {
		return err
	}
	cfg := controlnode.Config{
		Node: f.node, DataDir: f.dataDir, SecretFile: f.secretFile, AdminTokenFile: f.adminTokenFile, Advertise: f.advertise, Peers: peers,
		NATSAddr: f.natsAddr, NATSClusterAddr: f.natsClusterAddr, NATSRoutes: without(fields(f.natsRoutes), f.natsClusterAddr),
		ExternalNATS: external, Telemetry: telemetry, Log: log,
	}
	if cfg.Properties, err = f.propertiesKey(); err != nil {
		return err
	}
	if cfg.Raft, err = listen(f.raft, "--raft-addr"); err != nil {
		return err
	}
	if cfg.Management, err = listen(f.management, "--management-addr"); err != nil {
		return err
	}
	admin, err := listen(f.admin, "--admin-addr")
	if err != nil {
		return err
	}
	node, err := controlnode.New(cfg)
	if err != nil {
		return err
	}
	log.Info("control plane started", "management", cfg.Management.Addr().String(), "raft", cfg.Raft.Addr().String(), "adminTokenFile", node.AdminTokenFile)
	runners := slices.Concat([]run.Runner{{Name: "telemetry", Run: telemetry.Run}}, node.Runners,
		[]run.Runner{{Name: "admin", Run: func(ctx context.Context) error { return serveAdmin(ctx, admin, node, telemetry) }}})
	return run.Stack(ctx, grace, runners...)
}

// serveAdmin is the node's technical API: health for everybody, metrics for the holder of the admin token.
func serveAdmin(ctx context.Context, ln net.Listener, node *controlnode.Node, telemetry *config.Telemetry) error {
	mux := http.NewServeMux()
	mux.Handle("GET /_node/health", node.Health())
	mux.Handle("GET /_node/metrics/prometheus", controlnode.Authenticated(node.AdminToken, promhttp.HandlerFor(telemetry.Gatherer, promhttp.HandlerOpts{})))
	return controlnode.Serve(ctx, ln, mux)
}

func parsePeers(text string) ([]store.Peer, error) {
	var out []store.Peer
	for _, p := range fields(text) {
		id, addr, ok := strings.Cut(p, "=")
		if !ok || id == "" || addr == "" {
			return nil, fmt.Errorf("--peers: %q is not id=host:port", p)
		}
		out = append(out, store.Peer{ID: id, Address: addr})
	}
	return out, nil
}

// without returns list without one entry: a node is given all routes, its own too, so that all nodes have the same flags.
func without(list []string, entry string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == entry })
}
