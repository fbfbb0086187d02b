package brokers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ForLoad are lines of a Mosquitto that many messages go through. It saves its sessions every half hour, as it comes, and
// when it is asked to end: otherwise tests have it write all of them to disk at every change, so that a kill loses nothing,
// and with many messages it does nothing else. And it gives a client as many messages ahead of its acknowledgements as
// that takes: as it comes, 20.
var ForLoad = []string{"autosave_on_changes false", "autosave_interval 1800", "max_inflight_messages 0"}

// MosquittoConfig says what Mosquitto a test wants. The zero value takes every client without a password.
type MosquittoConfig struct {
	Lines []string // of mosquitto.conf, after ours: "max_keepalive 60"
}

// Mosquitto is a running Eclipse Mosquitto. It speaks MQTT 3.1.1 and 5 and saves sessions and messages at every
// change, so that they are there again after Kill and Restart. It acknowledges first and saves a moment later, though:
// a test that kills it right after an acknowledgement must wait with AwaitSaved, or expect the loss.
type Mosquitto struct {
	*Daemon
	dir string
}

// StartMosquitto starts a Mosquitto that ends with the test.
func StartMosquitto(t testing.TB, cfg MosquittoConfig) *Mosquitto {
	t.Helper()
	m, err := NewMosquitto(t.Context(), t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.endWith(t)
	return m
}

// NewMosquitto starts a Mosquitto with its data in dir and returns when it serves. Close ends it.
func NewMosquitto(ctx context.Context, dir string, cfg MosquittoConfig) (*Mosquitto, error) {
	d, err := newDaemon("mosquitto", "mosquitto", dir, mqttAnswers)
	if err != nil {
		return nil, err
	}
	lines := []string{
		fmt.Sprintf("listener %d 127.0.0.1", d.port.Number),
		"allow_anonymous true",
		"persistence true",
		"persistence_location " + dir + "/",
		"autosave_interval 1",
		"autosave_on_changes true",
		"max_queued_messages 0",
		"log_dest stderr",
		"connection_messages true",
	}
	if os.Getuid() == 0 {
		// As root it would change to a user that cannot write here, and the kernel then forgets Pdeathsig.
		lines = append(lines, "user root")
	}
	conf := filepath.Join(dir, "mosquitto.conf")
	text := strings.Join(append(lines, cfg.Lines...), "\n") + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		d.Close()
		return nil, fmt.Errorf("write mosquitto.conf: %w", err)
	}
	d.command.args = []string{"-c", conf}
	if err := d.Restart(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return &Mosquitto{Daemon: d, dir: dir}, nil
}

// AwaitSaved has Mosquitto save now (SIGUSR1: it does not count every message as a change that it should save), and returns
// when that holds the text, such as the payload of a message.
func (m *Mosquitto) AwaitSaved(ctx context.Context, text string) error {
	return await(ctx, "mosquitto to save "+text, []*process{m.process}, func(context.Context) error {
		m.process.signal(syscall.SIGUSR1)
		db, err := os.ReadFile(filepath.Join(m.dir, "mosquitto.db"))
		if err == nil && !bytes.Contains(db, []byte(text)) {
			err = errors.New("not saved yet")
		}
		return err
	})
}

// mqttConnect is an MQTT 3.1.1 CONNECT with a clean session, 10 s of keep-alive and the client id "ready".
const mqttConnect = "\x10\x11\x00\x04MQTT\x04\x02\x00\x0a\x00\x05ready"

// mqttAnswers asks for a CONNACK. A refusal is an answer too: the broker may want a password.
func mqttAnswers(ctx context.Context, addr string) error {
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, mqttConnect); err != nil {
		return err
	}
	var ack [4]byte
	if _, err := io.ReadFull(conn, ack[:]); err != nil {
		return err
	}
	if ack[0] != 0x20 {
		return fmt.Errorf("mosquitto answered % x", ack)
	}
	return nil
}

// dial connects for one question; the connection ends with ctx.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(answerLimit)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
