package natsserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

const (
	backOffMin  = 20 * time.Millisecond
	backOffMax  = 2 * time.Second // a control plane without NATS cannot deploy: try often
	dialTimeout = 5 * time.Second
	// pendingMessages bounds what waits in a subscription for asks of 1,000 workers at once.
	pendingMessages = 16_384
)

// DialConfig is how a control-plane node connects.
type DialConfig struct {
	Node      string
	InProcess *Server     // the embedded server, or
	Servers   []string    // an external cluster (--nats-url)
	TLS       *tls.Config // for tls:// URLs
	Seed      []byte      // the node's nkey seed, or
	CredsFile string      // a NATS credentials file of the external cluster
	Log       *slog.Logger
}

// Dial returns a connection that comes up when it can and comes back whenever it was lost. The caller closes it.
func Dial(cfg DialConfig) (*nats.Conn, error) {
	opts := nats.GetDefaultOptions()
	opts.Name = "sluice control plane " + cfg.Node
	opts.Servers = cfg.Servers
	opts.AllowReconnect, opts.RetryOnFailedConnect, opts.MaxReconnect = true, true, -1
	opts.IgnoreAuthErrorAbort = true
	opts.ReconnectBufSize = -1 // what is said while cut off is stale when it arrives
	opts.CustomReconnectDelayCB = reconnectDelay
	opts.Timeout = dialTimeout
	opts.SubChanLen = pendingMessages
	opts.NoCallbacksAfterClientClose = true
	opts.DisconnectedErrCB = func(_ *nats.Conn, err error) { cfg.Log.Warn("NATS lost", "node", cfg.Node, "err", err) }
	opts.ReconnectedCB = func(nc *nats.Conn) {
		cfg.Log.Info("NATS connected", "node", cfg.Node, "server", nc.ConnectedUrlRedacted())
	}
	opts.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		cfg.Log.Warn("NATS reports", "node", cfg.Node, "err", err)
	}
	if cfg.InProcess != nil {
		opts.InProcessServer = cfg.InProcess
	} else if len(cfg.Servers) == 0 {
		return nil, errors.New("natsserver: no server to dial")
	} else if cfg.TLS != nil {
		opts.Secure, opts.TLSConfig = true, cfg.TLS
	}
	if err := authenticate(cfg, &opts); err != nil {
		return nil, fmt.Errorf("natsserver: %w", err)
	}
	nc, err := opts.Connect()
	if err != nil {
		return nil, fmt.Errorf("natsserver: connect: %w", err)
	}
	return nc, nil
}

func authenticate(cfg DialConfig, opts *nats.Options) error {
	if cfg.CredsFile != "" {
		return nats.UserCredentials(cfg.CredsFile)(opts)
	}
	if len(cfg.Seed) == 0 {
		return nil
	}
	pair, err := nkeys.FromSeed(cfg.Seed)
	if err != nil {
		return fmt.Errorf("read the node's NATS seed: %w", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return fmt.Errorf("read the node's NATS seed: %w", err)
	}
	return nats.Nkey(public, pair.Sign)(opts)
}

// reconnectDelay doubles from backOffMin to backOffMax, with jitter.
func reconnectDelay(attempts int) time.Duration {
	d := min(backOffMin<<min(max(attempts-1, 0), 16), backOffMax)
	return d/2 + rand.N(d/2+1) //nolint:gosec // not a secret
}

// WaitConnected returns when nc is connected, or ctx ends.
func WaitConnected(ctx context.Context, nc *nats.Conn) error {
	if nc.IsConnected() {
		return nil
	}
	status := nc.StatusChanged(nats.CONNECTED)
	if nc.IsConnected() {
		return nil
	}
	select {
	case <-status:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for NATS: %w", ctx.Err())
	}
}
