// Package natslink is how a process reaches NATS: which servers, whom it trusts and how it proves itself. There are two
// kinds. The control plane's own NATS is joined with what the worker token holds. An external cluster is joined as its
// operator wants it, by flags; nothing of the worker token is shown to it. Which kind it is, the token says.
//
// It opens no connection and starts no goroutine.
package natslink

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"

	"github.com/sluice-gateway/sluice/proto/join"
)

// Flags are what a user says of NATS. All but URLs are for an external cluster.
type Flags struct {
	URLs      string // comma-separated
	CredsFile string
	NkeyFile  string
	UserFile  string
	CAFile    string
}

// Register adds the flags; about says what --nats-url is to the role.
func (f *Flags) Register(fs *pflag.FlagSet, about string) {
	fs.StringVar(&f.URLs, "nats-url", "", about)
	fs.StringVar(&f.CredsFile, "nats-creds", "", "external NATS: credentials file with a user JWT and its nkey seed")
	fs.StringVar(&f.NkeyFile, "nats-nkey", "", "external NATS: file with a user nkey seed")
	fs.StringVar(&f.UserFile, "nats-user-file", "", "external NATS: file with one line, user:password")
	fs.StringVar(&f.CAFile, "nats-ca-file", "", "external NATS: PEM certificates of its authority, for tls:// (default: the system's)")
}

// Link is how to reach NATS.
type Link struct {
	Servers []string
	TLS     *tls.Config // nil: in the clear, on loopback
	Login   nats.Option // nil: none, or the worker token's key
	// Explain adds to a failure to connect what the user can do about it.
	Explain func(error) error
}

var (
	errNoURL     = errors.New("is for an external NATS cluster: give its --nats-url too")
	errTwoLogins = errors.New("give one of --nats-creds, --nats-nkey and --nats-user-file")
	errPlainCA   = errors.New("--nats-ca-file has no effect on nats://: write tls:// in --nats-url")
	errNoAddress = errors.New("the worker token does not say where NATS is: give --nats-url tls://HOST:PORT,... " +
		"with the --nats-addr of each control-plane node, or the external cluster's")
	errOwnPlain = errors.New("--nats-url: the control plane's own NATS speaks TLS only: write tls:// instead of nats://")
	errNotOurs  = errors.New("is for an external NATS cluster, and this worker token is for the control plane's own: drop the flag, " +
		"or get a token from a control plane that runs with --nats-url (sluice controlplane token --nats-url URL prints one)")
)

// External is the link to an external cluster, nil where no flag asks for one.
func (f *Flags) External() (*Link, error) {
	if f.URLs == "" {
		if name := f.external(); name != "" {
			return nil, fmt.Errorf("%s %w", name, errNoURL)
		}
		return nil, nil //nolint:nilnil // the embedded NATS is a valid answer
	}
	servers, secure, err := Servers(f.URLs)
	if err != nil {
		return nil, err
	}
	l := &Link{Servers: servers, Explain: explainExternal}
	if l.Login, err = f.login(); err != nil {
		return nil, err
	}
	if !secure {
		if f.CAFile != "" {
			return nil, errPlainCA
		}
		return l, nil
	}
	l.TLS = &tls.Config{MinVersion: tls.VersionTLS12} // external clusters are not ours to choose
	if f.CAFile != "" {
		if l.TLS.RootCAs, err = authority(f.CAFile); err != nil {
			return nil, fmt.Errorf("--nats-ca-file: %w", err)
		}
	}
	return l, nil
}

// Worker is the link of a worker with the token.
func (f Flags) Worker(token join.Token) (Link, error) {
	if f.URLs == "" {
		f.URLs = strings.Join(token.NATS, ",")
	}
	if f.URLs == "" {
		return Link{}, errNoAddress
	}
	if token.External {
		l, err := f.External()
		if err != nil {
			return Link{}, err
		}
		return *l, nil
	}
	if name := f.external(); name != "" {
		return Link{}, fmt.Errorf("%s %w", name, errNotOurs)
	}
	servers, secure, err := Servers(f.URLs)
	if err != nil {
		return Link{}, err
	}
	if !secure {
		return Link{}, errOwnPlain
	}
	roots, err := token.Roots()
	if err != nil {
		return Link{}, err
	}
	return Link{
		Servers: servers, Explain: explainOwn,
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: join.ServerName},
	}, nil
}

// external is the first flag given that an external cluster alone has, "" for none.
func (f *Flags) external() string {
	for _, c := range []struct{ name, value string }{
		{"--nats-creds", f.CredsFile}, {"--nats-nkey", f.NkeyFile}, {"--nats-user-file", f.UserFile}, {"--nats-ca-file", f.CAFile},
	} {
		if c.value != "" {
			return c.name
		}
	}
	return ""
}
