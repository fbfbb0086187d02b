package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// MQTT is the embedded MQTT broker.
type MQTT struct {
	server *mqtt.Server
	ln     *inTurn
}

// NewMQTT prepares the embedded MQTT broker on loopback: on MQTTPort, or on a free port where that one is taken.
func NewMQTT(log *slog.Logger) (*MQTT, error) {
	ln, err := listen(MQTTPort)
	if err != nil {
		return nil, fmt.Errorf("embedded mqtt: %w", err)
	}
	m := &MQTT{server: mqtt.New(&mqtt.Options{Logger: log}), ln: &inTurn{ln: ln}}
	if err := m.server.AddHook(new(auth.AllowHook), nil); err != nil {
		ln.Close()
		return nil, fmt.Errorf("embedded mqtt: %w", err)
	}
	if err := m.server.AddListener(m.ln); err != nil {
		ln.Close()
		return nil, fmt.Errorf("embedded mqtt: %w", err)
	}
	return m, nil
}

// Addr is where the broker listens.
func (m *MQTT) Addr() string { return m.ln.Address() }

// Run serves until ctx ends.
func (m *MQTT) Run(ctx context.Context) error {
	if err := m.server.Serve(); err != nil {
		return fmt.Errorf("embedded mqtt: %w", err)
	}
	<-ctx.Done()
	err := m.server.Close()
	m.ln.clients.Wait()
	return err
}

// inTurn is a listener whose clients' packets are processed one client at a time. mochi-mqtt v2.7.9 would else lock up under
// QoS 1: when a client's packet was processed, Inflight.NextImmediate takes a read lock twice, and another client's
// publish to it, between the two, waits to write. A client has the turn from when a read returned until it reads again.
type inTurn struct {
	ln      net.Listener
	log     *slog.Logger
	turn    sync.Mutex
	clients sync.WaitGroup
}

// Init implements listeners.Listener.
func (l *inTurn) Init(log *slog.Logger) error {
	l.log = log
	return nil
}

// Serve implements listeners.Listener.
func (l *inTurn) Serve(establish listeners.EstablishFn) {
	for {
		raw, err := l.ln.Accept()
		if err != nil {
			return
		}
		l.clients.Go(func() {
			c := &turnConn{Conn: raw, turn: &l.turn}
			defer c.yield()
			if err := establish(l.ID(), c); err != nil {
				l.log.Debug("mqtt client has gone", "err", err)
			}
		})
	}
}

// ID implements listeners.Listener.
func (l *inTurn) ID() string { return "dev" }

// Address implements listeners.Listener.
func (l *inTurn) Address() string { return l.ln.Addr().String() }

// Protocol implements listeners.Listener.
func (l *inTurn) Protocol() string { return "tcp" }

// Close implements listeners.Listener.
func (l *inTurn) Close(closeClients listeners.CloseFn) {
	l.ln.Close()
	closeClients(l.ID())
}

// writeTimeout bounds how long a client that takes nothing may hold up the others.
const writeTimeout = 5 * time.Second

// turnConn is a client's connection. One goroutine reads it, and processes what it has read.
type turnConn struct {
	net.Conn
	turn *sync.Mutex
	held bool // the reading goroutine's
}

// Read implements net.Conn.
func (c *turnConn) Read(p []byte) (int, error) {
	c.yield()
	n, err := c.Conn.Read(p)
	c.turn.Lock()
	c.held = true
	return n, err
}

// Write implements net.Conn.
func (c *turnConn) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails where Write does
	return c.Conn.Write(p)
}

func (c *turnConn) yield() {
	if c.held {
		c.held = false
		c.turn.Unlock()
	}
}

var _ listeners.Listener = (*inTurn)(nil)
