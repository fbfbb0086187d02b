package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// connect returns a connection that comes up when it can and comes back whenever it was lost; up is called each time.
func (f *Feed) connect(ctx context.Context, up func()) (*nats.Conn, error) {
	opts := nats.GetDefaultOptions()
	opts.Name = wire.ClaimOf(f.cfg.Worker, f.selector).String()
	opts.Servers = f.cfg.Servers
	opts.InProcessServer = f.cfg.InProcess
	opts.InboxPrefix = wire.InboxPrefix(f.cfg.Worker)
	opts.AllowReconnect, opts.RetryOnFailedConnect, opts.MaxReconnect = true, true, -1
	opts.IgnoreAuthErrorAbort = true // a credential may be granted, or a control plane restored, later
	opts.ReconnectBufSize = -1       // what is said while cut off is stale when it arrives
	var conn atomic.Pointer[nats.Conn]
	opts.CustomReconnectDelayCB = func(attempts int) time.Duration { // after each round over the servers
		if err := refusedBy(conn.Load()); err != nil {
			f.failed(err)
		}
		return f.backOff(attempts)
	}
	opts.ReconnectErrCB = func(_ *nats.Conn, err error) { f.failed(err) }
	opts.PingInterval, opts.MaxPingsOut = pingInterval, 2
	opts.Timeout = f.cfg.RequestTimeout
	if f.cfg.InProcess == nil && f.cfg.TLS != nil {
		opts.Secure, opts.TLSConfig = true, f.cfg.TLS
	}
	opts.IgnoreDiscoveredServers = f.cfg.TLS == nil // they may be beyond loopback
	if err := f.authenticate(&opts); err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	opts.ConnectedCB = func(nc *nats.Conn) { f.connected(nc, up) }
	opts.ReconnectedCB = func(nc *nats.Conn) { f.connected(nc, up) }
	opts.DisconnectedErrCB = func(_ *nats.Conn, err error) {
		f.metrics.disconnected(ctx)
		f.away.set(fmt.Errorf("lost the connection to NATS: %w", cmp.Or(err, nats.ErrConnectionClosed)))
		f.log.Warn("control plane lost, serving on", "worker", f.cfg.Worker, "err", err)
	}
	opts.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrSlowConsumer) { // a gap, which its follower notices
			return
		}
		f.log.Warn("NATS reports", "worker", f.cfg.Worker, "err", err)
	}
	nc, err := opts.Connect()
	if err != nil {
		return nil, fmt.Errorf("feed: connect: %w", err)
	}
	conn.Store(nc)
	return nc, nil
}

func (f *Feed) connected(nc *nats.Conn, up func()) {
	f.away.clear()
	f.log.Info("connected to the control plane", "worker", f.cfg.Worker, "server", nc.ConnectedUrlRedacted())
	up()
}

func (f *Feed) authenticate(opts *nats.Options) error {
	if f.cfg.Login != nil {
		return f.cfg.Login(opts)
	}
	if len(f.cfg.Seed) == 0 {
		return nil
	}
	pair, err := nkeys.FromSeed(f.cfg.Seed)
	if err != nil {
		return fmt.Errorf("read the worker's NATS seed: %w", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return fmt.Errorf("read the worker's NATS seed: %w", err)
	}
	return nats.Nkey(public, pair.Sign)(opts)
}

// backOff doubles from backOffMin to BackOffMax, with jitter.
func (f *Feed) backOff(attempts int) time.Duration {
	d := backOffMin << min(max(attempts-1, 0), 16)
	return jitter(min(d, f.cfg.BackOffMax))
}
