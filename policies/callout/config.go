package callout

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is what the configurations of policies and resources have in common where they call out. They embed it, and begin with
// Defaults.
type Config struct {
	// HTTP are limits of the calls.
	HTTP HTTP `json:"http"`
	// Proxy is what calls go through. Default: none.
	Proxy Proxy `json:"proxy"`
	// SSL says whom we trust and shows our certificate.
	SSL SSL `json:"ssl"`
	// UseSystemProxy takes the proxy of the worker's environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY). Default false.
	UseSystemProxy bool `json:"useSystemProxy"`
}

// HTTP are limits of calls.
type HTTP struct {
	// ConnectTimeout bounds the way to a connection, TLS included, in milliseconds. Default 5000.
	ConnectTimeout int `json:"connectTimeout"`
	// ReadTimeout bounds the wait for the whole answer, in milliseconds, beside ConnectTimeout. Default 10000.
	ReadTimeout int `json:"readTimeout"`
	// IdleTimeout is how long a connection without a call is kept, in milliseconds. Default 60000.
	IdleTimeout int `json:"idleTimeout"`
	// KeepAlive keeps connections for the next call. Default true.
	KeepAlive bool `json:"keepAlive"`
	// MaxConcurrentConnections bounds the connections to one host; calls beyond wait. Default 20.
	MaxConcurrentConnections int `json:"maxConcurrentConnections"`
	// FollowRedirects follows up to five redirects. Default false.
	FollowRedirects bool `json:"followRedirects"`
	// MaxResponseSize bounds the body of an answer, in bytes. Default 1048576, at most 67108864.
	MaxResponseSize int `json:"maxResponseSize"`
}

// Proxy is what calls go through.
type Proxy struct {
	// Enabled has calls go through the proxy. Default false.
	Enabled bool `json:"enabled"`
	// UseSystemProxy takes the proxy of the worker's environment. Default false.
	UseSystemProxy bool `json:"useSystemProxy"`
	// Type is HTTP or SOCKS5. Default HTTP.
	Type string `json:"type"`
	// Host and Port are where the proxy is. Required, unless UseSystemProxy is set.
	Host string `json:"host"`
	Port int    `json:"port"`
	// Username and Password are shown to the proxy. Default: none.
	Username string `json:"username"`
	Password string `json:"password"`
}

// Defaults of calls.
func Defaults() Config {
	return Config{
		HTTP: HTTP{ConnectTimeout: 5000, ReadTimeout: 10000, IdleTimeout: 60000, KeepAlive: true, MaxConcurrentConnections: 20,
			MaxResponseSize: 1 << 20},
		Proxy: Proxy{Type: proxyHTTP},
		SSL:   SSL{HostnameVerifier: true},
	}
}

const (
	proxyHTTP   = "HTTP"
	proxySOCKS5 = "SOCKS5"
)

// Bounds of what may be configured.
const (
	maxWait        = 5 * 60 * 1000 // ms
	maxConnections = 1000
	maxAnswer      = 64 << 20
)

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// limit is how long a whole call may take.
func (h *HTTP) limit() time.Duration { return millis(h.ConnectTimeout) + millis(h.ReadTimeout) }

// check finds what is out of bounds.
func (c *Config) check(at string) (problems apidef.Problems) {
	for _, n := range []struct {
		name              string
		value, from, most int
	}{
		{"connectTimeout", c.HTTP.ConnectTimeout, 1, maxWait}, {"readTimeout", c.HTTP.ReadTimeout, 1, maxWait},
		{"idleTimeout", c.HTTP.IdleTimeout, 1, maxWait}, {"maxConcurrentConnections", c.HTTP.MaxConcurrentConnections, 1, maxConnections},
		{"maxResponseSize", c.HTTP.MaxResponseSize, 1, maxAnswer},
	} {
		if n.value < n.from || n.value > n.most {
			problems = append(problems, settings.Invalid(at+"/http/"+n.name, fmt.Sprintf("must be between %d and %d", n.from, n.most)))
		}
	}
	p := &c.Proxy
	if !p.Enabled || p.UseSystemProxy || c.UseSystemProxy {
		return problems
	}
	if t := strings.ToUpper(p.Type); t != proxyHTTP && t != proxySOCKS5 {
		problems = append(problems, settings.Invalid(at+"/proxy/type", fmt.Sprintf("%q is not one of HTTP, SOCKS5", p.Type)))
	}
	if strings.TrimSpace(p.Host) == "" {
		problems = append(problems, settings.Invalid(at+"/proxy/host", "is required: where the proxy is"))
	}
	if p.Port < 1 || p.Port > 65535 {
		problems = append(problems, settings.Invalid(at+"/proxy/port", "must be between 1 and 65535"))
	}
	return problems
}

// url is that of the proxy, as net/http takes it.
func (p *Proxy) url() *url.URL {
	u := &url.URL{Scheme: "http", Host: net.JoinHostPort(p.Host, strconv.Itoa(p.Port))}
	if strings.EqualFold(p.Type, proxySOCKS5) {
		u.Scheme = "socks5"
	}
	if p.Username != "" {
		u.User = url.UserPassword(p.Username, p.Password)
	}
	return u
}
