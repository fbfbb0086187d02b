package natsserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// Bounds and defaults.
const (
	// maxPayload bounds a message, in bytes. wire.MaxEnvelopeBytes and an ask fit; it is NATS's own default too.
	maxPayload = 1 << 20
	// maxPending bounds what waits for one slow client, in bytes; it is cut off above. A worker has at most
	// four chunks on the way for each stream.
	maxPending = 16 << 20
	// maxConnections bounds clients. 1,000 workers are measured; a descriptor each.
	maxConnections = 10_000
	// maxSubscriptions bounds those of one client: two for each of 64 tags, and inboxes.
	maxSubscriptions = 1_024
	// maxControlLine bounds the protocol line of a client, in bytes: a connect with its nkey and signature.
	maxControlLine = 4_096

	writeDeadline = 10 * time.Second // a client that takes nothing this long is cut off
	authTimeout   = 5 * time.Second
	pingInterval  = 15 * time.Second
	readyTimeout  = 10 * time.Second

	loopback   = "127.0.0.1"
	randomPort = -1 // what nats-server calls it
)

// Errors of New.
var (
	// ErrNotReady is returned when the server's listeners do not come up.
	ErrNotReady = errors.New("NATS server did not become ready")
	// ErrExposed is returned for a listener that others can reach and that has no TLS.
	ErrExposed = errors.New("a NATS listener beyond loopback needs TLS")
)

// Config is what a Server needs.
type Config struct {
	Node string // name of the server in the cluster
	// Listen is host:port for workers; default a free port of loopback. Without TLS only loopback is allowed.
	Listen string
	TLS    *tls.Config
	// InProcessOnly opens no listener: clients connect through InProcessConn (sluice dev).
	InProcessOnly bool
	// Cluster joins the servers of the other nodes; nil for a node alone.
	Cluster *ClusterConfig
	// Authorize says what the holder of an nkey (its public form, "U...") may do. It is called at each connect, from
	// several goroutines, and must not block.
	Authorize func(nkey string) (wire.Permissions, bool)

	Log *slog.Logger
}

// ClusterConfig is how the nodes' servers find and trust each other.
type ClusterConfig struct {
	Name   string   // the cluster's id
	Listen string   // host:port for the other nodes
	Peers  []string // host:port of the other nodes; unreachable ones are tried for ever
	// TLS proves this node to the others and checks them: a certificate, and the CA in both RootCAs and ClientCAs.
	TLS *tls.Config
}

// Server is an embedded NATS server.
type Server struct {
	srv *server.Server
	log *logger
}

// New starts a server; it listens when New returns. Run has to be called to stop it.
func New(cfg Config) (*Server, error) {
	opts, err := options(cfg)
	if err != nil {
		return nil, fmt.Errorf("natsserver: %w", err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("natsserver: %w", err)
	}
	s := &Server{srv: srv, log: &logger{log: cfg.Log}}
	srv.SetLoggerV2(s.log, false, false, false)
	srv.Start()
	if !s.up(cfg) {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("natsserver: %w: %w", ErrNotReady, s.log.failure())
	}
	return s, nil
}

func (s *Server) up(cfg Config) bool {
	if s.log.failure() != nil {
		return false
	}
	if cfg.InProcessOnly {
		return s.srv.Running()
	}
	return s.srv.ReadyForConnections(readyTimeout)
}

// Run keeps the server until ctx ends, then stops it.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	return nil
}

// URL is where workers connect.
func (s *Server) URL() string { return s.srv.ClientURL() }

// ClusterAddr is where the other nodes connect, nil for a node alone.
func (s *Server) ClusterAddr() net.Addr {
	if a := s.srv.ClusterAddr(); a != nil {
		return a
	}
	return nil
}

// Routes is the number of connections to other nodes.
func (s *Server) Routes() int { return s.srv.NumRoutes() }

// InProcessConn connects without a listener; it makes Server a nats.InProcessConnProvider. The client still proves
// its nkey.
func (s *Server) InProcessConn() (net.Conn, error) { return s.srv.InProcessConn() }

func options(cfg Config) (*server.Options, error) {
	if cfg.Authorize == nil || cfg.Log == nil {
		return nil, errors.New("no Authorize or no logger")
	}
	if err := wire.CheckName(cfg.Node); err != nil {
		return nil, err
	}
	host, port, err := listen(cfg.Listen, cfg.TLS)
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName: cfg.Node, Host: host, Port: port, DontListen: cfg.InProcessOnly,
		NoSigs: true, NoLog: false, NoSystemAccount: true, JetStream: false,
		MaxPayload: maxPayload, MaxPending: maxPending, MaxConn: maxConnections, MaxSubs: maxSubscriptions,
		MaxControlLine: maxControlLine, WriteDeadline: writeDeadline, PingInterval: pingInterval, MaxPingsOut: 2,
		AuthTimeout: authTimeout.Seconds(), AlwaysEnableNonce: true,
		CustomClientAuthentication: &authenticator{authorize: cfg.Authorize, log: cfg.Log},
	}
	if cfg.TLS != nil {
		opts.TLS, opts.TLSConfig, opts.TLSTimeout = true, cfg.TLS, authTimeout.Seconds()
	}
	if cfg.Cluster == nil {
		return opts, nil
	}
	return opts, clustered(opts, cfg.Cluster)
}

func clustered(opts *server.Options, c *ClusterConfig) error {
	host, port, err := listen(c.Listen, c.TLS)
	if err != nil {
		return err
	}
	if c.TLS == nil {
		return errors.New("a NATS cluster needs TLS: it is how nodes are told from others")
	}
	mutual := c.TLS.Clone()
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	opts.Cluster = server.ClusterOpts{
		Name: c.Name, Host: host, Port: port, TLSConfig: mutual, TLSTimeout: authTimeout.Seconds(),
		AuthTimeout: authTimeout.Seconds(), WriteDeadline: writeDeadline, ConnectBackoff: true,
		// NoAdvertise: workers know the addresses they were given; a node behind a load balancer has none to tell.
		NoAdvertise: true,
	}
	for _, peer := range c.Peers {
		if _, _, err := net.SplitHostPort(peer); err != nil {
			return fmt.Errorf("peer %q: %w", peer, err)
		}
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: peer})
	}
	return nil
}

// listen reads an address, which without TLS has to be one of loopback.
func listen(addr string, conf *tls.Config) (host string, port int, err error) {
	if addr == "" {
		return loopback, randomPort, nil
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q: %w", addr, err)
	}
	if conf == nil && !tcp.IP.IsLoopback() {
		return "", 0, fmt.Errorf("%w: %s", ErrExposed, addr)
	}
	host, _, _ = net.SplitHostPort(addr) // it was read above
	if port = tcp.Port; port == 0 {
		port = randomPort
	}
	return host, port, nil
}
