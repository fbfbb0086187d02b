// Package server is the gateway port: it reads HTTP with fasthttp, gives every request its identity and its span, hands it
// to the router and answers where nobody else does. It knows nothing of connectors. Its goroutines are fasthttp's,
// which Run starts and waits for; connections that an entrypoint took over belong to that entrypoint.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// Router finds the API for a request and serves it. Called from many goroutines; it must not keep host and path.
type Router interface {
	Serve(x *exchange.Exchange, host, path []byte) flow.Outcome
}

// Config is what the gateway port keeps to.
type Config struct {
	MaxBody       int           // bytes of a request body
	MaxHeader     int           // bytes of request line and headers together, and of the read buffer of a connection
	ReadTimeout   time.Duration // a request, body included, must have come within it: slow senders hold nothing for longer
	WriteTimeout  time.Duration // a response must have been taken within it
	IdleTimeout   time.Duration // a kept-alive connection without a request is closed
	ShutdownDelay time.Duration // how long to go on, asking clients to close, before connections are refused
	Grace         time.Duration // how long a stopping server waits for handlers
	TLS           *tls.Config   // nil: plain
	Tracer        trace.Tracer  // nil: no spans
	NotFound      string        // what an unknown path is answered with; empty: DefaultNotFound
}

// DefaultNotFound is what clients know of an unknown path (spec 10.1).
const DefaultNotFound = "No context-path matches the request URI."

// DefaultConfig is safe on a port that anybody can reach.
var DefaultConfig = Config{
	MaxBody:      4 << 20, // as connectors.DefaultLimits
	MaxHeader:    8 << 10, // spec 10.1 http.maxHeaderSize
	ReadTimeout:  30 * time.Second,
	WriteTimeout: 30 * time.Second,
	IdleTimeout:  75 * time.Second, // longer than the 60 s after which common load balancers let go, so that they close first
	Grace:        30 * time.Second,
}

// Server serves the gateway port.
type Server struct {
	cfg       Config
	listeners []net.Listener
	router    Router
	counters  *meter.Registry
	log       *slog.Logger
	http      fasthttp.Server
	stopping  atomic.Bool
	notFound  []byte
	reuse     func(net.Conn) bool // made once

	mu sync.Mutex
	// guards the following
	ended  bool           // no connection is taken back any more
	reused sync.WaitGroup // connections that came back
	unused unused
}

// New returns a server for the listeners, which it closes when Run ends. Several listeners may share one port.
func New(cfg Config, listeners []net.Listener, router Router, counters *meter.Registry, log *slog.Logger) (*Server, error) {
	if len(listeners) == 0 {
		return nil, errors.New("server: no listener")
	}
	if cfg.NotFound == "" {
		cfg.NotFound = DefaultNotFound
	}
	s := &Server{cfg: cfg, listeners: listeners, router: router, counters: counters, log: log, notFound: []byte(cfg.NotFound)}
	s.http = fasthttp.Server{
		Handler:                      s.Handle,
		ErrorHandler:                 s.unreadable,
		ExpectHandler:                s.expect,
		Logger:                       logger{log},
		ReadBufferSize:               cfg.MaxHeader,
		ReadTimeout:                  cfg.ReadTimeout,
		WriteTimeout:                 cfg.WriteTimeout,
		IdleTimeout:                  cfg.IdleTimeout,
		MaxRequestBodySize:           cfg.MaxBody,
		DisablePreParseMultipartForm: true, // a form is a body like any other, and becomes a message as it came
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true, // an empty answer has no type
		CloseOnShutdown:              true,
		SecureErrorLogMessage:        true,
		KeepHijackedConns:            true, // a stream outlives the hijack handler: who takes a connection closes it
		ConnState:                    s.unused.saw,
	}
	s.reuse = s.takeBack
	return s, nil
}

// takeBack serves more requests on a connection that an entrypoint is done with, its response being over and having promised
// to keep the connection; false: the server stops.
func (s *Server) takeBack(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.stopping.Load() {
		return false
	}
	s.reused.Go(func() { // ends with the connection; Run waits for it
		if err := s.http.ServeConn(c); err != nil {
			s.http.Logger.Printf("serve a connection again: %v", err)
		}
	})
	return true
}

// Run serves until ctx ends, then stops politely: clients are asked to close, nothing new is accepted, and what is being
// answered is finished within Grace. An error names what was left.
func (s *Server) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	failed := make(chan error, len(s.listeners))
	for _, ln := range s.listeners {
		if s.cfg.TLS != nil {
			ln = tls.NewListener(ln, s.cfg.TLS)
		}
		serving.Go(func() {
			if err := s.http.Serve(ln); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("serve %s: %w", ln.Addr(), err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
		s.lameDuck()
	case err = <-failed:
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Grace)
	defer cancel()
	stopped := make(chan struct{})
	serving.Go(func() {
		select {
		case <-time.After(unusedGrace):
			s.unused.close()
		case <-stopped:
		}
	})
	down := s.http.ShutdownWithContext(grace)
	close(stopped)
	if down != nil {
		// The count leaves one out for a listener (GetOpenConnectionsCount, v1.74), and by now there is none.
		err = errors.Join(err, fmt.Errorf("stop the gateway port: %d connections left: %w", s.http.GetOpenConnectionsCount()+1, down))
	}
	for _, ln := range s.listeners {
		_ = ln.Close() // closed already, unless the end came before fasthttp had seen the listener
	}
	serving.Wait()
	s.reused.Wait()
	return err
}

// lameDuck goes on serving for a while, so that load balancers notice, and asks each client to close its connection.
func (s *Server) lameDuck() {
	s.stopping.Store(true)
	if s.cfg.ShutdownDelay > 0 {
		<-time.After(s.cfg.ShutdownDelay)
	}
}

// Connections returns how many connections are open that no entrypoint took over.
func (s *Server) Connections() int {
	// fasthttp counts every listener as one and takes one off (GetOpenConnectionsCount, v1.74).
	return max(int(s.http.GetOpenConnectionsCount())-(len(s.listeners)-1), 0)
}

// logger passes on what fasthttp says of broken connections.
type logger struct{ *slog.Logger }

// Printf implements fasthttp.Logger.
func (l logger) Printf(format string, args ...any) {
	l.Debug("connection", "err", fmt.Sprintf(format, args...))
}
