package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/controlnode"
	"github.com/sluice-gateway/sluice/cmd/internal/natslink"
)

type tokenFlags struct {
	dataDir, secretFile, natsURL, natsAddr string
}

func newToken() *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use: "token", Args: cobra.NoArgs, Short: "Print the worker token",
		Long: "Print the token that workers join with: --worker-token-file of sluice worker. Nothing is created or changed.\n" +
			"With neither --nats-url nor --nats-addr the token fits the NATS that the node of --data-dir was last started with.",
		Example: "  sluice controlplane token --data-dir /var/lib/sluice --nats-addr 10.0.0.1:4222,10.0.0.2:4222 > worker-token\n" +
			"  sluice controlplane token --cluster-secret-file /etc/sluice/cluster-secret --nats-url tls://nats.example.com:4222 > worker-token",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config()
			if err != nil {
				return err
			}
			token, err := controlnode.Token(cfg)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dataDir, "data-dir", defaultControlDir, "data directory of a control-plane node")
	fl.StringVar(&f.secretFile, "cluster-secret-file", "", "the cluster's secret (default <data-dir>/cluster-secret)")
	fl.StringVar(&f.natsURL, "nats-url", "", "write into the token: the external NATS cluster of the control plane's --nats-url, comma-separated")
	fl.StringVar(&f.natsAddr, "nats-addr", "", "write into the token: --nats-addr of all nodes, as workers reach them, comma-separated")
	cmd.MarkFlagsMutuallyExclusive("nats-url", "nats-addr")
	return cmd
}

func (f *tokenFlags) config() (cfg controlnode.TokenConfig, err error) {
	cfg = controlnode.TokenConfig{DataDir: f.dataDir, SecretFile: f.secretFile}
	if f.natsURL != "" {
		cfg.External, _, err = natslink.Servers(f.natsURL)
		return cfg, err
	}
	for _, addr := range fields(f.natsAddr) {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return cfg, fmt.Errorf("--nats-addr: %q is not HOST:PORT; an external NATS cluster is given with --nats-url", addr)
		}
		cfg.Own = append(cfg.Own, "tls://"+addr)
	}
	return cfg, nil
}
