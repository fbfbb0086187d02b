package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/config"
	"github.com/sluice-gateway/sluice/cmd/internal/controlnode"
	"github.com/sluice-gateway/sluice/cmd/internal/embedded"
	"github.com/sluice-gateway/sluice/cmd/internal/run"
	"github.com/sluice-gateway/sluice/cmd/internal/samples"
	"github.com/sluice-gateway/sluice/cmd/internal/version"
	"github.com/sluice-gateway/sluice/cmd/internal/workernode"
	"github.com/sluice-gateway/sluice/controlplane/identity"
)

// sampleBrokers are the addresses that samples and the user guides use: in `sluice dev` they mean its own brokers.
var (
	sampleBrokers     = []string{"kafka:9092", "localhost:8082"}
	sampleMQTTBrokers = []string{"localhost:1883", "mosquitto:1883", "mqtt:1883"}
)

type devFlags struct {
	common
	gateway
	management, kafka, mqtt string
	noSamples               bool
}

func newDev() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use: "dev", Args: cobra.NoArgs, Short: "Run everything in one process, for development: brokers, control plane, worker, samples",
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout(), time.Now()) },
	}
	f.common.register(cmd.Flags(), "dev", ".sluice")
	f.gateway.register(cmd.Flags())
	_ = cmd.Flags().Set("log-level", "warn") // what a newcomer reads is the banner
	cmd.Flags().StringVar(&f.management, "management-addr", defaultManagement, "address of the management API")
	cmd.Flags().StringVar(&f.kafka, "kafka", "", "use this Kafka instead of the embedded one, host:port,...")
	cmd.Flags().StringVar(&f.mqtt, "mqtt", "", "use this MQTT broker instead of the embedded one, host:port")
	cmd.Flags().BoolVar(&f.noSamples, "no-samples", false, "do not deploy the sample APIs")
	return cmd
}

func (f *devFlags) run(ctx context.Context, out io.Writer, started time.Time) error {
	if f.dataDir == "" {
		f.dataDir = ".sluice"
	}
	if err := os.MkdirAll(f.dataDir, 0o700); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	log, err := f.logger()
	if err != nil {
		return err
	}
	if f.propertiesKeyFile == "" {
		f.propertiesKeyFile = filepath.Join(f.dataDir, "properties-key")
		if _, err := identity.LoadOrCreateToken(f.propertiesKeyFile); err != nil {
			return fmt.Errorf("key of encrypted properties: %w", err)
		}
	}
	b, err := f.startBrokers(log)
	if err != nil {
		return err
	}
	node, controlRunners, managementAddr, err := f.controlPlane(ctx, log, b)
	if err != nil {
		return err
	}
	workerRunners, gatewayAddr, err := f.worker(ctx, log, b, node)
	if err != nil {
		return err
	}
	say := banner{out: out, dataDir: f.dataDir, brokers: b, gateway: "http://" + gatewayAddr, management: "http://" + managementAddr, tokenFile: node.AdminTokenFile}
	say.top()
	ready := run.Runner{Name: "samples", Run: func(ctx context.Context) error {
		wanted := samples.All
		if f.noSamples {
			wanted = nil
		}
		deployed, err := deploySamples(ctx, say.management, node.AdminToken, wanted)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		say.samples(deployed)
		say.bottom(time.Since(started))
		<-ctx.Done()
		return nil
	}}
	return run.Stack(ctx, grace, slices.Concat(b.runners, controlRunners, workerRunners, []run.Runner{ready})...)
}

func (f *devFlags) controlPlane(ctx context.Context, log *slog.Logger, b *devBrokers) (node *controlnode.Node, runners []run.Runner, addr string, err error) {
	telemetry, err := config.NewTelemetry(ctx, config.TelemetryConfig{Node: f.node, Version: version.String()})
	if err != nil {
		return nil, nil, "", err
	}
	cfg := controlnode.Config{Node: f.node, DataDir: f.dataDir, AdminTokenFile: f.adminTokenFile, AutoKeylessPlan: true,
		Brokers: b.names, Telemetry: telemetry, Log: log}
	if cfg.Properties, err = f.propertiesKey(); err != nil {
		return nil, nil, "", err
	}
	if cfg.Raft, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { // one node: nobody else needs to find it
		return nil, nil, "", err
	}
	if cfg.Management, err = listen(f.management, "--management-addr"); err != nil {
		return nil, nil, "", err
	}
	node, err = controlnode.New(cfg)
	if err != nil {
		return nil, nil, "", err
	}
	return node, append([]run.Runner{{Name: "control plane's telemetry", Run: telemetry.Run}}, node.Runners...), cfg.Management.Addr().String(), nil
}

func (f *devFlags) worker(ctx context.Context, log *slog.Logger, b *devBrokers, node *controlnode.Node) (runners []run.Runner, addr string, err error) {
	cfg := workernode.Config{Node: f.node, AdminToken: node.AdminToken, Tags: f.tags, Tenant: f.tenant, Push: f.push, Limits: f.limits, WebhookAllow: f.webhookAllow, CalloutAllow: f.calloutAllow, Brokers: b.names,
		Token: node.WorkerToken, InProcess: node.NATS, RatesRedis: f.ratesRedis, OTLPEndpoint: f.otlp, Log: log}
	if cfg.Properties, err = f.propertiesKey(); err != nil {
		return nil, "", err
	}
	if cfg.GatewayTLS, err = f.tls(); err != nil {
		return nil, "", err
	}
	if cfg.Gateway, err = listen(f.addr, "--gateway-addr"); err != nil {
		return nil, "", err
	}
	if cfg.Admin, err = listen(f.admin, "--admin-addr"); err != nil {
		return nil, "", err
	}
	runners, err = workernode.New(ctx, cfg)
	return runners, cfg.Gateway.Addr().String(), err
}

// devBrokers are the brokers of a `sluice dev`: its own or given ones.
type devBrokers struct {
	kafka, mqtt                 string
	embeddedKafka, embeddedMQTT bool
	names                       map[string]string // sample address -> broker
	runners                     []run.Runner
}

func (f *devFlags) startBrokers(log *slog.Logger) (*devBrokers, error) {
	b := &devBrokers{kafka: f.kafka, mqtt: f.mqtt, names: map[string]string{}}
	if b.kafka == "" {
		k, err := embedded.NewKafka(filepath.Join(f.dataDir, "kafka"))
		if err != nil {
			return nil, err
		}
		b.kafka, b.embeddedKafka = k.Addr(), true
		b.runners = append(b.runners, run.Runner{Name: "embedded kafka", Run: k.Run})
	}
	if b.mqtt == "" {
		m, err := embedded.NewMQTT(log)
		if err != nil {
			return nil, err
		}
		b.mqtt, b.embeddedMQTT = m.Addr(), true
		b.runners = append(b.runners, run.Runner{Name: "embedded mqtt", Run: m.Run})
	}
	for _, name := range sampleBrokers {
		b.names[name] = b.kafka
	}
	for _, name := range sampleMQTTBrokers {
		b.names[name] = b.mqtt
	}
	return b, nil
}
