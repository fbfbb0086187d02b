package brokers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// NATSConfig says what nats-server a test wants. The zero value is one server without JetStream.
type NATSConfig struct {
	JetStream bool
	Args      []string // of nats-server, after ours: "--user", "worker"
}

// NATS is a running nats-server.
type NATS struct{ *Daemon }

// StartNATS starts a nats-server that ends with the test.
func StartNATS(t testing.TB, cfg NATSConfig) *NATS {
	t.Helper()
	n, err := NewNATS(t.Context(), t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.endWith(t)
	return n
}

// NewNATS starts a nats-server with its data in dir and returns when it serves. Close ends it.
func NewNATS(ctx context.Context, dir string, cfg NATSConfig) (*NATS, error) {
	d, err := newDaemon("nats-server", "nats-server", dir, natsAnswers)
	if err != nil {
		return nil, err
	}
	d.command.args = []string{"--addr", "127.0.0.1", "--port", strconv.Itoa(d.port.Number)}
	if cfg.JetStream {
		d.command.args = append(d.command.args, "--jetstream", "--store_dir", filepath.Join(dir, "jetstream"))
	}
	d.command.args = append(d.command.args, cfg.Args...)
	if err := d.Restart(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return &NATS{d}, nil
}

// URL is the address as NATS clients want it.
func (n *NATS) URL() string { return "nats://" + n.Addr() }

// natsAnswers asks for the INFO line with which a server greets, and for its PONG. Where the greeting asks for TLS it is the
// answer: the handshake is the client's business. An error line is an answer too: the server may want a password.
func natsAnswers(ctx context.Context, addr string) error {
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "PONG"), strings.HasPrefix(line, "-ERR"):
			return nil
		case strings.HasPrefix(line, "INFO") && strings.Contains(line, `"tls_required":true`):
			return nil
		case strings.HasPrefix(line, "INFO"):
			if _, err := io.WriteString(conn, "CONNECT {\"verbose\":false}\r\nPING\r\n"); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return fmt.Errorf("nats-server closed the connection")
}
