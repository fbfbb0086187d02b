package natslink

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Schemes of a server's URL. WebSockets are left out: nobody needs them between servers.
const (
	schemePlain = "nats"
	schemeTLS   = "tls"
)

var (
	errScheme   = errors.New("is not tls://HOST:PORT, or nats://HOST:PORT on loopback")
	errPassword = errors.New("holds a user or password, which everybody on the machine can read there: put them into a file and give --nats-user-file")
	errPlain    = errors.New("would send definitions and credentials over the network in the clear: write tls://, nats:// is for loopback only")
	errMixed    = errors.New("--nats-url: either all of nats:// or all of tls://")
	errNone     = errors.New("--nats-url: no URL")
)

// Servers reads a comma-separated list of URLs, and tells whether they are reached over TLS.
func Servers(list string) (servers []string, secure bool, err error) {
	schemes := map[string]bool{}
	for i, text := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		u, err := server(text)
		if err != nil {
			return nil, false, fmt.Errorf("--nats-url: URL %d %w", i+1, err) // it may hold a password: not shown
		}
		schemes[u.Scheme] = true
		servers = append(servers, u.Scheme+"://"+u.Host)
	}
	switch {
	case len(servers) == 0:
		return nil, false, errNone
	case len(schemes) > 1:
		return nil, false, errMixed
	}
	return servers, schemes[schemeTLS], nil
}

func server(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != schemePlain && u.Scheme != schemeTLS {
		return nil, errScheme
	}
	if u.User != nil {
		return nil, errPassword
	}
	if u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errScheme
	}
	if u.Scheme == schemePlain && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("(%s) %w", u.Host, errPlain)
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
