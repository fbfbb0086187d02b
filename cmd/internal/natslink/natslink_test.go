package natslink

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/sluice-gateway/sluice/controlplane/identity"
	"github.com/sluice-gateway/sluice/proto/join"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// tokens are a worker's in both cases.
func tokens(t *testing.T, urls ...string) (own, external join.Token) {
	t.Helper()
	id, err := identity.New(identity.Secret{1}, identity.Config{})
	must(t, err)
	own, err = id.WorkerToken(urls)
	must(t, err)
	external, err = id.ExternalToken(urls)
	must(t, err)
	return own, external
}

func TestServers(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, list string
		want       error
	}{
		{"nothing", " , ", errNone},
		{"no scheme", "10.0.0.1:4222", errScheme},
		{"a websocket", "wss://nats.example:443", errScheme},
		{"no host", "tls://:4222", errScheme},
		{"a path", "tls://nats.example:4222/x", errScheme},
		{"a port that is none", "tls://nats.example:x", errScheme},
		{"a password", "tls://me:secret@nats.example:4222", errPassword},
		{"in the clear", "nats://nats.example:4222", errPlain},
		{"in the clear, beyond loopback", "nats://127.0.0.1:4222,nats://10.0.0.1:4222", errPlain},
		{"a name that only looks like loopback", "nats://127.0.0.1.example.com:4222", errPlain},
		{"both", "nats://127.0.0.1:4222,tls://10.0.0.1:4222", errMixed},
		{"loopback", "nats://127.0.0.1:4222,nats://localhost:4223,nats://[::1]:4224", nil},
		{"TLS", "tls://10.0.0.1:4222, TLS://nats.example", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			servers, secure, err := Servers(c.list)
			if !errors.Is(err, c.want) || err == nil && secure != strings.HasPrefix(servers[0], "tls://") {
				t.Fatalf("%v %t %v, want %v", servers, secure, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Fatalf("the password is shown: %v", err)
			}
		})
	}
}

func TestFlags_WrongCombinations(t *testing.T) {
	t.Parallel()
	nobody := filepath.Join(t.TempDir(), "nothing")
	user := write(t, "user", "me:secret\n")
	seed := write(t, "seed", string(newSeed(t)))
	own, external := tokens(t)
	asControl := func(f Flags) error { _, err := f.External(); return err }
	asWorker := func(token join.Token) func(Flags) error {
		return func(f Flags) error { _, err := f.Worker(token); return err }
	}
	const url = "tls://nats.example:4222"
	cases := []struct {
		name  string
		join  func(Flags) error
		flags Flags
		want  error
	}{
		{"control plane: a login for the embedded NATS", asControl, Flags{UserFile: user}, errNoURL},
		{"control plane: a CA for the embedded NATS", asControl, Flags{CAFile: nobody}, errNoURL},
		{"control plane: two logins", asControl, Flags{URLs: url, UserFile: user, NkeyFile: seed}, errTwoLogins},
		{"control plane: a CA in the clear", asControl, Flags{URLs: "nats://127.0.0.1:4222", CAFile: nobody}, errPlainCA},
		{"control plane: no such credentials", asControl, Flags{URLs: url, CredsFile: nobody}, os.ErrNotExist},
		{"control plane: a seed for credentials", asControl, Flags{URLs: url, CredsFile: seed}, errCreds},
		{"control plane: no such seed", asControl, Flags{URLs: url, NkeyFile: nobody}, os.ErrNotExist},
		{"control plane: no such user", asControl, Flags{URLs: url, UserFile: nobody}, os.ErrNotExist},
		{"control plane: no such CA", asControl, Flags{URLs: url, CAFile: nobody}, os.ErrNotExist},
		{"control plane: a CA that is none", asControl, Flags{URLs: url, CAFile: user}, errCerts},
		{"control plane: a user without a password", asControl, Flags{URLs: url, UserFile: write(t, "u", "me")}, errUser},
		{"control plane: two lines of users", asControl, Flags{URLs: url, UserFile: write(t, "u", "me:x\nyou:y\n")}, errUser},
		{"worker: nobody says where", asWorker(own), Flags{}, errNoAddress},
		{"worker: nobody says where the external one is", asWorker(external), Flags{}, errNoAddress},
		{"worker: own NATS in the clear", asWorker(own), Flags{URLs: "nats://127.0.0.1:4222"}, errOwnPlain},
		{"worker: a login for the control plane's own", asWorker(own), Flags{URLs: url, CredsFile: nobody}, errNotOurs},
		{"worker: a CA for the control plane's own", asWorker(own), Flags{URLs: url, CAFile: nobody}, errNotOurs},
		{"worker: external in the clear", asWorker(external), Flags{URLs: "nats://nats.example:4222"}, errPlain},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := c.join(c.flags); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestWorker_ShowsNothingOfTheTokenToAnExternalCluster: neither our CA is asked to vouch for it, nor our key offered.
func TestWorker_ShowsNothingOfTheTokenToAnExternalCluster(t *testing.T) {
	t.Parallel()
	own, external := tokens(t, "tls://10.0.0.1:4222")
	l, err := (Flags{}).Worker(external)
	must(t, err)
	if l.TLS == nil || l.TLS.RootCAs != nil || l.TLS.ServerName != "" || l.Login != nil || !slices.Equal(l.Servers, external.NATS) {
		t.Errorf("external: %+v", l)
	}
	l, err = (Flags{}).Worker(own)
	must(t, err)
	if l.TLS == nil || l.TLS.RootCAs == nil || l.TLS.ServerName != join.ServerName {
		t.Errorf("own: %+v", l)
	}
	l, err = Flags{URLs: "nats://127.0.0.1:4222"}.Worker(external)
	must(t, err)
	if l.TLS != nil || l.Servers[0] != "nats://127.0.0.1:4222" {
		t.Errorf("the flag goes before the token: %+v", l)
	}
}

func newSeed(t *testing.T) []byte {
	t.Helper()
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	return seed
}

func TestLogin(t *testing.T) {
	t.Parallel()
	seed := string(newSeed(t))
	creds := write(t, "creds", "-----BEGIN NATS USER JWT-----\nthe.user.jwt\n------END NATS USER JWT------\n\n"+
		"-----BEGIN USER NKEY SEED-----\n"+seed+"\n------END USER NKEY SEED------\n")
	login := func(f Flags) nats.Options {
		f.URLs = "tls://nats.example:4222"
		l, err := f.External()
		must(t, err)
		var o nats.Options
		must(t, l.Login(&o))
		return o
	}
	o := login(Flags{CredsFile: creds})
	if jwt, err := o.UserJWT(); err != nil || jwt != "the.user.jwt" || o.SignatureCB == nil {
		t.Errorf("credentials: %q %v", jwt, err)
	}
	if o = login(Flags{NkeyFile: write(t, "seed", seed)}); !nkeys.IsValidPublicUserKey(o.Nkey) || o.SignatureCB == nil {
		t.Errorf("nkey: %q", o.Nkey)
	}
	path := write(t, "user", "me:se:cret\n")
	o = login(Flags{UserFile: path})
	if name, password := o.UserInfo(); name != "me" || password != "se:cret" {
		t.Errorf("user: %q %q", name, password)
	}
	must(t, os.WriteFile(path, []byte("me:new"), 0o600))
	if _, password := o.UserInfo(); password != "new" {
		t.Errorf("a new password is not taken: %q", password)
	}
}

// TestExplain: what cannot be joined says what to do.
func TestExplain(t *testing.T) {
	t.Parallel()
	own, external := tokens(t, "tls://10.0.0.1:4222")
	for _, c := range []struct {
		name          string
		err           error
		own, external string
	}{
		{"certificate", fmt.Errorf("%w: %w", nats.ErrTLS, x509.UnknownAuthorityError{}), "sluice controlplane token", "--nats-ca-file"},
		{"login", nats.ErrAuthorization, "sluice controlplane token", "--nats-creds"},
		{"plain", nats.ErrSecureConnWanted, "--nats-url", "TLS"},
		{"else", nats.ErrTimeout, "", ""},
	} {
		for token, want := range map[*join.Token]string{&own: c.own, &external: c.external} {
			l, err := (Flags{}).Worker(*token)
			must(t, err)
			got := l.Explain(c.err)
			if !errors.Is(got, c.err) || !strings.Contains(got.Error(), want) || want == "" && got != c.err {
				t.Errorf("%s, external %t: %v", c.name, token.External, got)
			}
		}
	}
}
