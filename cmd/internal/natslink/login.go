package natslink

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// maxFile bounds what is read of a credentials or certificate file, in bytes.
const maxFile = 1 << 20

var (
	errCreds = errors.New("holds no user JWT between its BEGIN and END lines")
	errUser  = errors.New("is not one line user:password")
	errCerts = errors.New("holds no PEM certificate")
	errLarge = fmt.Errorf("is larger than %d bytes", maxFile)
)

// login returns how the process proves itself, nil for not at all. The files are checked now, so that a mistake ends the
// process instead of being tried for ever, and read again at each connect, so that they can be replaced while it runs.
func (f *Flags) login() (nats.Option, error) {
	var found []nats.Option
	for _, c := range []struct {
		flag, path string
		option     func(path string) (nats.Option, error)
	}{
		{"--nats-creds", f.CredsFile, creds},
		{"--nats-nkey", f.NkeyFile, nats.NkeyOptionFromSeed},
		{"--nats-user-file", f.UserFile, user},
	} {
		if c.path == "" {
			continue
		}
		option, err := c.option(c.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.flag, err)
		}
		found = append(found, option)
	}
	switch len(found) {
	case 0:
		return nil, nil //nolint:nilnil // no login is a valid answer
	case 1:
		return found[0], nil
	}
	return nil, errTwoLogins
}

func creds(path string) (nats.Option, error) {
	content, err := read(path)
	if err != nil {
		return nil, err
	}
	// A file without the markers is one JWT to nkeys: what is none, a bare seed for one, would be sent to the server.
	if jwt, err := nkeys.ParseDecoratedJWT(content); err != nil || strings.Count(jwt, ".") != 2 {
		return nil, errors.Join(errCreds, err)
	}
	pair, err := nkeys.ParseDecoratedUserNKey(content)
	if err != nil {
		return nil, fmt.Errorf("read the nkey seed: %w", err)
	}
	pair.Wipe()
	return nats.UserCredentials(path), nil
}

func user(path string) (nats.Option, error) {
	if _, _, err := userFrom(path); err != nil {
		return nil, err
	}
	return nats.UserInfoHandler(func() (string, string) {
		name, password, err := userFrom(path)
		if err != nil {
			return "", "" // refused by the server, which is logged and tried again
		}
		return name, password
	}), nil
}

func userFrom(path string) (name, password string, err error) {
	content, err := read(path)
	if err != nil {
		return "", "", err
	}
	name, password, ok := strings.Cut(strings.TrimRight(string(content), "\r\n"), ":")
	if !ok || name == "" || password == "" || strings.ContainsAny(password, "\r\n") {
		return "", "", errUser
	}
	return name, password, nil
}

// authority reads the certificates that an external cluster's servers are verified with.
func authority(path string) (*x509.CertPool, error) {
	content, err := read(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s %w", path, errCerts)
	}
	return pool, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the file, and the callers the flag
	}
	defer f.Close()
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(f, maxFile+1))
	if err == nil && n > maxFile {
		err = errLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b.Bytes(), nil
}
