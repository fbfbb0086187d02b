package natsserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/proto/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// grants is who may do what.
type grants struct {
	mu sync.Mutex
	by map[string]wire.Permissions
}

func (g *grants) add(t *testing.T, p wire.Permissions) (seed []byte, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err = pair.Seed()
	must(t, err)
	public, err = pair.PublicKey()
	must(t, err)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.by = map[string]wire.Permissions{}
	}
	g.by[public] = p
	return seed, public
}

func (g *grants) drop(public string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.by, public)
}

func (g *grants) authorize(nkey string) (wire.Permissions, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.by[nkey]
	return p, ok
}

func run(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Log = quiet()
	s, err := New(cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
	})
	return s
}

// errorsOf collects what a connection reports.
type errorsOf struct{ got chan error }

func connect(t *testing.T, url string, seed []byte, opts ...nats.Option) (*nats.Conn, errorsOf) {
	t.Helper()
	e := errorsOf{got: make(chan error, 16)}
	opts = append(opts, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { e.got <- err }))
	nc, err := dialSeed(url, seed, opts...)
	must(t, err)
	t.Cleanup(nc.Close)
	return nc, e
}

func dialSeed(url string, seed []byte, opts ...nats.Option) (*nats.Conn, error) {
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, err
	}
	return nats.Connect(url, append(opts, nats.Nkey(public, pair.Sign))...)
}

func (e errorsOf) violation(t *testing.T, what string) {
	t.Helper()
	select {
	case err := <-e.got:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Fatalf("%s: %v", what, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s was allowed", what)
	}
}

func TestServer_WorkerMayOnlyDoItsPart(t *testing.T) {
	g := &grants{}
	s := run(t, Config{Node: "node-1", Authorize: g.authorize})
	sel, err := wire.ParseSelector([]string{"eu"})
	must(t, err)
	seed, _ := g.add(t, wire.WorkerPermissions("w1", sel))
	nc, errs := connect(t, s.URL(), seed, nats.CustomInboxPrefix(wire.InboxPrefix("w1")))

	for _, subject := range []string{
		wire.RevisionSubject("eu"), wire.HeartbeatSubject("eu"), wire.RevisionSubject(wire.Everything),
		wire.StatusSubject("w2"), wire.AskSubject("eu", "w2"), wire.AskSubject("us", "w1"),
		wire.ChunkSubject("eu", "node-1", "w2"), "_INBOX.w2.x", "other.system",
	} {
		must(t, nc.Publish(subject, []byte("x")))
		errs.violation(t, "publish "+subject)
	}
	for _, subject := range []string{
		wire.RevisionSubject("us"), wire.RevisionSubject(wire.Everything), wire.HeartbeatSubject("us"),
		wire.StatusPattern(), wire.AskPattern(), "_INBOX.>", "_INBOX.w2.>", ">", "$SYS.>",
	} {
		_, err := nc.SubscribeSync(subject)
		must(t, err)
		errs.violation(t, "subscribe "+subject)
	}

	control, _ := g.add(t, wire.ControlPermissions())
	ctl, _ := connect(t, s.URL(), control)
	heard, err := ctl.SubscribeSync(wire.StatusPattern())
	must(t, err)
	must(t, ctl.Flush())
	reads, err := nc.SubscribeSync(wire.RevisionSubject("eu"))
	must(t, err)
	must(t, nc.Flush())
	must(t, nc.Publish(wire.StatusSubject("w1"), []byte("status")))
	must(t, ctl.Publish(wire.RevisionSubject("eu"), []byte("push")))
	if _, err := heard.NextMsg(patience); err != nil {
		t.Errorf("own status: %v", err)
	}
	if _, err := reads.NextMsg(patience); err != nil {
		t.Errorf("own stream: %v", err)
	}
}

func TestServer_RefusesStrangers(t *testing.T) {
	g := &grants{}
	s := run(t, Config{Node: "node-1", Authorize: g.authorize})
	known, public := g.add(t, wire.ControlPermissions())
	stranger, strange := g.add(t, wire.ControlPermissions())
	g.drop(strange)

	if _, err := nats.Connect(s.URL()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("no credentials: %v", err)
	}
	if _, err := dialSeed(s.URL(), stranger); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("unknown nkey: %v", err)
	}
	thief, err := nkeys.FromSeed(stranger)
	must(t, err)
	if _, err := nats.Connect(s.URL(), nats.Nkey(public, thief.Sign)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("another's nkey without its seed: %v", err)
	}
	nc, err := dialSeed(s.URL(), known)
	must(t, err)
	nc.Close()
}

func TestServer_RecheckCutsOffTheRevoked(t *testing.T) {
	g := &grants{}
	s := run(t, Config{Node: "node-1", Authorize: g.authorize})
	for range 2 * sweepMin { // come and gone: swept
		seed, _ := g.add(t, wire.ControlPermissions())
		nc, err := dialSeed(s.URL(), seed)
		must(t, err)
		nc.Close()
	}
	stays, _ := g.add(t, wire.ControlPermissions())
	connect(t, s.URL(), stays)
	goes, public := g.add(t, wire.ControlPermissions())
	closed := make(chan struct{})
	connect(t, s.URL(), goes, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if n := s.Recheck(); n != 0 {
		t.Errorf("cut off %d before anything was revoked", n)
	}
	g.drop(public)
	if n := s.Recheck(); n != 1 {
		t.Errorf("cut off %d, want the revoked one", n)
	}
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the revoked client is still connected")
	}
}

func TestServer_InProcess(t *testing.T) {
	g := &grants{}
	s := run(t, Config{Node: "node-1", Authorize: g.authorize, InProcessOnly: true})
	seed, _ := g.add(t, wire.ControlPermissions())
	nc, err := Dial(DialConfig{Node: "node-1", InProcess: s, Seed: seed, Log: quiet()})
	must(t, err)
	defer nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, WaitConnected(ctx, nc))
}

func TestNew_RefusesToBeExposed(t *testing.T) {
	g := &grants{}
	for _, c := range []struct {
		name string
		cfg  Config
		want error
	}{
		{"clients", Config{Node: "n", Listen: "0.0.0.0:0"}, ErrExposed},
		{"cluster", Config{Node: "n", Cluster: &ClusterConfig{Name: "c", Listen: "0.0.0.0:0"}}, ErrExposed},
		{"no name", Config{}, wire.ErrName},
	} {
		c.cfg.Authorize, c.cfg.Log = g.authorize, quiet()
		if _, err := New(c.cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, taken.Close()) }()
	_, err = New(Config{Node: "n", Listen: taken.Addr().String(), Authorize: g.authorize, Log: quiet()})
	if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a port that is taken: %v", err)
	}
}

// authority issues certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	a := &authority{cert: cert, key: key, pool: x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

func (a *authority) node(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	must(t, err)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      a.pool, ClientCAs: a.pool, MinVersion: tls.VersionTLS12,
	}
}

func TestServer_ClusterOverMutualTLS(t *testing.T) {
	g, ca := &grants{}, newAuthority(t)
	first := run(t, Config{Node: "node-1", Authorize: g.authorize, TLS: ca.node(t),
		Cluster: &ClusterConfig{Name: "c", TLS: ca.node(t)}})
	peers := []string{first.ClusterAddr().String()}
	second := run(t, Config{Node: "node-2", Authorize: g.authorize, TLS: ca.node(t),
		Cluster: &ClusterConfig{Name: "c", TLS: ca.node(t), Peers: peers}})
	intruder := run(t, Config{Node: "node-3", Authorize: g.authorize,
		Cluster: &ClusterConfig{Name: "c", TLS: newAuthority(t).node(t), Peers: peers}})

	seed, _ := g.add(t, wire.ControlPermissions())
	trust := nats.Secure(&tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS12})
	a, _ := connect(t, first.URL(), seed, trust)
	b, _ := connect(t, second.URL(), seed, trust)
	heard, err := b.SubscribeSync(wire.RevisionSubject("eu"))
	must(t, err)
	must(t, b.Flush())
	deadline := time.Now().Add(patience)
	for crossed := false; !crossed; { // until the route is up and knows of the subscription
		must(t, a.Publish(wire.RevisionSubject("eu"), nil))
		_, err := heard.NextMsg(50 * time.Millisecond)
		crossed = err == nil
		if time.Now().After(deadline) {
			t.Fatal("nothing crosses the cluster")
		}
	}
	if n := intruder.Routes(); n != 0 {
		t.Errorf("a node with another CA has %d routes", n)
	}
	if _, err := dialSeed(first.URL(), seed); err == nil {
		t.Error("a client that does not trust the CA connected")
	}
	plain := strings.Replace(first.URL(), "tls://", "nats://", 1)
	if _, err := dialSeed(plain, seed, nats.TLSHandshakeFirst()); err == nil {
		t.Error("a client without the CA connected")
	}
}

func TestDial_ComesUpWithTheServer(t *testing.T) {
	g := &grants{}
	seed, _ := g.add(t, wire.ControlPermissions())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := ln.Addr().String()
	must(t, ln.Close())
	nc, err := Dial(DialConfig{Node: "node-1", Servers: []string{"nats://" + addr}, Seed: seed, Log: quiet()})
	must(t, err)
	defer nc.Close()
	run(t, Config{Node: "nats-1", Listen: addr, Authorize: g.authorize})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, WaitConnected(ctx, nc))
}
