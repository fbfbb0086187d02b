package natsserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/sluice-gateway/sluice/proto/wire"
)

const (
	backOffMin  = 20 * time.Millisecond
	backOffMax  = 2 * time.Second // a control plane without NATS cannot deploy: try often
	dialTimeout = 5 * time.Second
	// logEvery is how often attempts that fail are logged.
	logEvery = 10 * time.Second
	// pendingMessages bounds what waits in a subscription for asks of 1,000 workers at once.
	pendingMessages = 16_384
)

// DialConfig is how a control-plane node connects.
type DialConfig struct {
	Node      string
	InProcess *Server     // the embedded server, or
	Servers   []string    // an external cluster (--nats-url)
	TLS       *tls.Config // for tls:// URLs; nil: in the clear, and then nowhere but to Servers
	Seed      []byte      // the node's nkey seed, or
	Login     nats.Option // how it proves itself to the external cluster
	// Explain adds to a failure to connect what the user can do about it; nil: nothing.
	Explain func(error) error
	Log     *slog.Logger
}

// Dial returns a connection that comes up when it can and comes back whenever it was lost. The caller closes it.
func Dial(cfg DialConfig) (*nats.Conn, error) {
	opts := nats.GetDefaultOptions()
	opts.Name = "sluice control plane " + cfg.Node
	opts.Servers = cfg.Servers
	opts.AllowReconnect, opts.RetryOnFailedConnect, opts.MaxReconnect = true, true, -1
	opts.IgnoreAuthErrorAbort = true
	opts.ReconnectBufSize = -1 // what is said while cut off is stale when it arrives
	a := &attempts{cfg: cfg}
	opts.CustomReconnectDelayCB = a.delay
	opts.ReconnectErrCB = func(_ *nats.Conn, err error) { a.failed(err) }
	opts.Timeout = dialTimeout
	opts.SubChanLen = pendingMessages
	opts.NoCallbacksAfterClientClose = true
	opts.DisconnectedErrCB = func(_ *nats.Conn, err error) { cfg.Log.Warn("NATS lost", "node", cfg.Node, "err", err) }
	opts.ConnectedCB, opts.ReconnectedCB = a.connected, a.connected
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
	opts.IgnoreDiscoveredServers = cfg.TLS == nil // they may be beyond loopback
	if err := authenticate(cfg, &opts); err != nil {
		return nil, fmt.Errorf("natsserver: %w", err)
	}
	nc, err := opts.Connect()
	if err != nil {
		return nil, fmt.Errorf("natsserver: connect: %w", err)
	}
	a.conn.Store(nc)
	return nc, nil
}

func authenticate(cfg DialConfig, opts *nats.Options) error {
	if cfg.Login != nil {
		return cfg.Login(opts)
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

// attempts follows the connection's attempts to come up, so that the log says why it does not.
type attempts struct {
	cfg    DialConfig
	conn   atomic.Pointer[nats.Conn]
	logged atomic.Int64 // when, in Unix nanoseconds
}

// delay doubles from backOffMin to backOffMax, with jitter. NATS calls it after each round over the servers; a server that
// has refused this client, by TLS or authentication, is reported nowhere else.
func (a *attempts) delay(round int) time.Duration {
	if nc := a.conn.Load(); nc != nil && !nc.IsConnected() && nc.LastError() != nil {
		a.failed(nc.LastError())
	}
	d := min(backOffMin<<min(max(round-1, 0), 16), backOffMax)
	return d/2 + rand.N(d/2+1) //nolint:gosec // not a secret
}

// failed logs a failure, now and then: it may be tried for days.
func (a *attempts) failed(err error) {
	last, now := a.logged.Load(), time.Now().UnixNano()
	if now-last < int64(logEvery) || !a.logged.CompareAndSwap(last, now) {
		return
	}
	if a.cfg.Explain != nil {
		err = a.cfg.Explain(err)
	}
	a.cfg.Log.Warn("no connection to NATS, trying on", "node", a.cfg.Node, "err", err)
}

func (a *attempts) connected(nc *nats.Conn) {
	a.logged.Store(0) // the next time that it fails is news
	a.cfg.Log.Info("NATS connected", "node", a.cfg.Node, "server", nc.ConnectedUrlRedacted())
	if n := nc.MaxPayload(); n < wire.MaxEnvelopeBytes {
		a.cfg.Log.Error("this NATS takes too small messages, some definitions will not get through: raise its max_payload",
			"node", a.cfg.Node, "bytes", n, "neededBytes", wire.MaxEnvelopeBytes)
	}
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
