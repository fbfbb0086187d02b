//go:build e2e

package mqttclient

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/brokers/ports"
	"github.com/sluice-gateway/sluice/test/certs"
)

// TestReal_TLSAndPassword connects with TLS, a certificate of our own and a password, and is told what to check where one
// of them is wrong.
func TestReal_TLSAndPassword(t *testing.T) {
	dir := t.TempDir()
	authority := certs.Authority(t, "authority")
	server, mine := authority.Issue(t, "broker", "127.0.0.1"), authority.Issue(t, "sluice")
	elsewhere := authority.Issue(t, "broker", "elsewhere.example")
	passwords := filepath.Join(dir, "passwords")
	if out, err := exec.Command(brokers.Tool(t, "mosquitto_passwd"), "-b", "-c", passwords, "user", "right").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(passwords, 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	ca := file("ca.pem", authority.CertPEM)
	secured := func(cert *certs.Pair) (addr string, lines []string) {
		port, err := ports.Lease()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(port.Release)
		name := fmt.Sprint(port.Number)
		return port.Addr(), []string{fmt.Sprintf("listener %d 127.0.0.1", port.Number), "cafile " + ca,
			"certfile " + file(name+".pem", cert.CertPEM), "keyfile " + file(name+".key", cert.KeyPEM), "require_certificate true"}
	}
	good, lines := secured(server)
	misnamed, more := secured(elsewhere)
	lines = append(append([]string{"password_file " + passwords}, lines...), more...)
	brokers.StartMosquitto(t, brokers.MosquittoConfig{Lines: lines})
	settings := func(password, trust, key string) string {
		return fmt.Sprintf(`,"security":{"auth":{"username":"user","password":%q},"ssl":{%s%s}}`, password, trust, key)
	}
	trust := fmt.Sprintf(`"trustStore":{"type":"PEM","path":%q}`, ca)
	key := fmt.Sprintf(`,"keyStore":{"type":"PEM","certContent":%q,"keyContent":%q}`, mine.CertPEM, mine.KeyPEM)
	for _, c := range []struct {
		name, addr, more string
		bad              bool
	}{
		{"right", good, settings("right", trust, key), false},
		{"wrong password", good, settings("wrong", trust, key), true},
		{"unknown authority", good, settings("right", "", key[1:]), true},
		{"no certificate", good, settings("right", trust, ""), true},
		{"another name", misnamed, settings("right", trust, key), true},
		{"another name, not looked at", misnamed, settings("right", trust, key+`,"hostnameVerifier":false`), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			versions(t, func(t *testing.T, v Version) {
				e := runVersion(t, v, config(c.addr, "t", c.more), connectors.Limits{})
				sub, err := trySubscribe(t, e, named(qos.AtLeastOnce, "client"), connectors.SubscribeOptions{})
				err2 := publish(t, e, level(qos.Auto), "x", nil)
				if c.bad {
					t.Log(failed(t, err, 500, message.KeyConnectionFailed).Message)
					failed(t, err2, 500, message.KeyConnectionFailed)
					return
				}
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				m := sub.want("x")
				sub.s.DeliveredThrough(&m)
			})
		})
	}
}

// TestReal_PublishQoS2 publishes with QoS 2 in order, over more topics than a broker takes aliases for.
func TestReal_PublishQoS2(t *testing.T) {
	versions(t, func(t *testing.T, v Version) {
		b := brokers.StartMosquitto(t, quick)
		p := newPeer(t, b.Addr())
		p.hear("many/#")
		e := runVersion(t, v, config(b.Addr(), "many/0", `,"producer":{"qos":2}`), connectors.Limits{})
		const n, topics = 2000, 30
		var outcomes []ack
		for i := range n {
			x := level(qos.Auto)
			x.SetAttribute("mqtt5.topic", fmt.Sprint("many/", i%topics))
			outcomes = append(outcomes, send(t.Context(), e, x, fmt.Sprint(i), nil))
		}
		for _, a := range outcomes {
			if err := next(t, a); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			m := next(t, p.got)
			if m.QoS != 2 || string(m.Payload) != fmt.Sprint(i) || m.Topic != fmt.Sprint("many/", i%topics) {
				t.Fatalf("message %d: QoS %d, %s on %s", i, m.QoS, m.Payload, m.Topic)
			}
		}
	})
}
