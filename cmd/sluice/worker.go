package main

import (
	"context"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/natslink"
	"github.com/sluice-gateway/sluice/cmd/internal/run"
	"github.com/sluice-gateway/sluice/cmd/internal/workernode"
	"github.com/sluice-gateway/sluice/controlplane/identity"
)

type workerFlags struct {
	common
	gateway
	nats      natslink.Flags
	tokenFile string
	// profileLocks has the mutex and block profiles filled.
	profileLocks bool
}

// How much of waiting is profiled: each hundredth contention, and blocking of ten microseconds on average.
const (
	mutexFraction    = 100
	blockNanoseconds = 10_000
)

func newWorker() *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use: "worker", Args: cobra.NoArgs, Short: "Run a stateless worker that serves APIs",
		Example: "  sluice worker --worker-token-file worker-token --nats-url tls://10.0.0.1:4222,tls://10.0.0.2:4222",
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	f.common.register(cmd.Flags(), hostname("worker"), ".sluice-worker")
	f.gateway.register(cmd.Flags())
	f.nats.Register(cmd.Flags(), "where NATS is, comma-separated (default: what the token says)")
	cmd.Flags().StringVar(&f.tokenFile, "worker-token-file", "worker-token",
		"the token that a control-plane node has written to its data directory, or sluice controlplane token prints")
	cmd.Flags().BoolVar(&f.profileLocks, "profile-locks", false, "fill the mutex and block profiles of the technical API, at some cost")
	return cmd
}

func (f *workerFlags) run(ctx context.Context) error {
	log, err := f.logger()
	if err != nil {
		return err
	}
	if f.profileLocks {
		runtime.SetMutexProfileFraction(mutexFraction)
		runtime.SetBlockProfileRate(blockNanoseconds)
	}
	token, err := workernode.ReadToken(f.tokenFile)
	if err != nil {
		return err
	}
	if f.adminTokenFile == "" {
		f.adminTokenFile = filepath.Join(f.dataDir, "admin-token")
	}
	cfg := workernode.Config{
		Node: f.node, Tags: f.tags, Tenant: f.tenant, Push: f.push, Limits: f.limits, WebhookAllow: f.webhookAllow, CalloutAllow: f.calloutAllow, Token: token, RatesRedis: f.ratesRedis, OTLPEndpoint: f.otlp, Log: log,
	}
	if cfg.NATS, err = f.nats.Worker(token); err != nil {
		return err
	}
	if cfg.AdminToken, err = identity.LoadOrCreateToken(f.adminTokenFile); err != nil {
		return err
	}
	if cfg.Properties, err = f.propertiesKey(); err != nil {
		return err
	}
	if cfg.GatewayTLS, err = f.tls(); err != nil {
		return err
	}
	if cfg.Gateway, err = listen(f.addr, "--gateway-addr"); err != nil {
		return err
	}
	if cfg.Admin, err = listen(f.admin, "--admin-addr"); err != nil {
		return err
	}
	runners, err := workernode.New(ctx, cfg)
	if err != nil {
		return err
	}
	log.Info("worker started", "gateway", cfg.Gateway.Addr().String(), "admin", cfg.Admin.Addr().String())
	return run.Stack(ctx, grace, runners...)
}
