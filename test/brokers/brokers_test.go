//go:build e2e

package brokers_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/test/brokers"
)

func TestMosquitto_PublishSubscribe(t *testing.T) {
	began := time.Now()
	m := brokers.StartMosquitto(t, brokers.MosquittoConfig{})
	t.Logf("started in %s", time.Since(began).Round(time.Millisecond))
	publish(t, m, "-r", "-q", "1", "-V", "mqttv5", "-t", "state", "-m", "kept")
	if got := subscribeOne(t, m, "-t", "state"); got != "kept" {
		t.Errorf("read %q", got)
	}
}

func TestMosquitto_KeepsSessionsOverAKill(t *testing.T) {
	m := brokers.StartMosquitto(t, brokers.MosquittoConfig{})
	session := []string{"-i", "reader", "-c", "-q", "1", "-t", "orders"}
	mosquitto(t, "mosquitto_sub", m, append(session, "-E")...) // subscribes and leaves
	publish(t, m, "-q", "1", "-t", "orders", "-m", "while away")
	if err := m.AwaitSaved(t.Context(), "while away"); err != nil {
		t.Fatal(err)
	}
	m.Kill()
	if err := m.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := subscribeOne(t, m, session...); got != "while away" {
		t.Errorf("read %q", got)
	}
}

func publish(t *testing.T, m *brokers.Mosquitto, args ...string) {
	t.Helper()
	mosquitto(t, "mosquitto_pub", m, args...)
}

func subscribeOne(t *testing.T, m *brokers.Mosquitto, args ...string) string {
	t.Helper()
	return strings.TrimSpace(mosquitto(t, "mosquitto_sub", m, append(args, "-C", "1")...))
}

func mosquitto(t *testing.T, tool string, m *brokers.Mosquitto, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	host, port, _ := strings.Cut(m.Addr(), ":")
	out, err := exec.CommandContext(ctx, brokers.Tool(t, tool), append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", tool, args, err, out)
	}
	return string(out)
}

func TestNATS_ServesAgainAfterAKill(t *testing.T) {
	began := time.Now()
	n := brokers.StartNATS(t, brokers.NATSConfig{JetStream: true})
	t.Logf("started in %s", time.Since(began).Round(time.Millisecond))
	for range 2 {
		conn, err := nats.Connect(n.URL())
		if err != nil {
			t.Fatal(err)
		}
		sub, err := conn.SubscribeSync("greetings")
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Publish("greetings", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		msg, err := sub.NextMsg(10 * time.Second)
		if err != nil || string(msg.Data) != "hello" {
			t.Fatalf("got %v, %v", msg, err)
		}
		conn.Close()
		n.Kill()
		if err := n.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
