package webhook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Config is the configuration of a webhook entrypoint (spec 2.5-a): what the publisher of the API says.
type Config struct {
	HTTP HTTP `json:"http"`
	// Proxy is where calls go through. Default: none.
	Proxy Proxy `json:"proxy"`
	// Logging writes what was sent and answered to the worker's log. Default: nothing.
	Logging Logging `json:"logging"`
	// InterruptConsumptionOnServerError: a message that the receiver keeps answering with 5xx ends the delivery, which is then
	// begun again. Default true. False: its key alone waits, tried for ever under at-least-once and passed over otherwise.
	InterruptConsumptionOnServerError bool `json:"interruptConsumptionOnServerError"`
	// InterruptConsumptionOnException is the same for a receiver that cannot be reached or does not answer in time. Default true.
	InterruptConsumptionOnException bool `json:"interruptConsumptionOnException"`
}

// HTTP bounds calls. Times are in milliseconds.
type HTTP struct {
	// ConnectTimeout bounds the way to a usable connection: name, TCP, proxy, TLS. Default 3000.
	ConnectTimeout int `json:"connectTimeout"`
	// ReadTimeout bounds one call, from its first byte to the end of the answer. Default 10000.
	ReadTimeout int `json:"readTimeout"`
	// IdleTimeout is how long an unused connection is kept. Default 60000.
	IdleTimeout int `json:"idleTimeout"`
	// MaxConcurrentConnections bounds what a subscription may have under way at a time, 1 to 1024. 1: strictly one message after
	// the other. Default: what the subscription says.
	MaxConcurrentConnections *int `json:"maxConcurrentConnections"`
}

// Proxy is a way out that the publisher of the API names.
type Proxy struct {
	// Enabled: default false.
	Enabled bool `json:"enabled"`
	// UseSystemProxy takes HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the worker. Default false.
	UseSystemProxy bool `json:"useSystemProxy"`
	// Type: HTTP (default), SOCKS4 or SOCKS5.
	Type string `json:"type"`
	// Host and Port of the proxy. Required, except for the system's.
	Host string `json:"host"`
	Port int    `json:"port"`
	// Username and Password for the proxy. Default: none.
	Username string `json:"username"`
	Password string `json:"password"`
}

// Logging says what is logged of each call.
type Logging struct {
	// Enabled: default false.
	Enabled  bool   `json:"enabled"`
	Request  Logged `json:"request"`
	Response Logged `json:"response"`
}

// Logged chooses parts of a request or an answer.
type Logged struct {
	// Headers without those that carry secrets. Default false.
	Headers bool `json:"headers"`
	// Payload up to 4096 bytes; of an answer up to 256. Default false.
	Payload bool `json:"payload"`
}

// Bounds and defaults of the entrypoint's settings.
const (
	defaultConnectMS = 3000 // spec 2.5-a, as the next two
	defaultReadMS    = 10000
	defaultIdleMS    = 60000
	maxTimeoutMS     = 600_000 // ten minutes
	maxConcurrency   = 1024
)

// Types of proxies.
const (
	proxyHTTP   = "HTTP"
	proxySOCKS4 = "SOCKS4"
	proxySOCKS5 = "SOCKS5"
)

func decode(cfg json.RawMessage) (Config, apidef.Problems) {
	c := Config{HTTP: HTTP{ConnectTimeout: defaultConnectMS, ReadTimeout: defaultReadMS, IdleTimeout: defaultIdleMS},
		InterruptConsumptionOnServerError: true, InterruptConsumptionOnException: true}
	k := &checker{problems: connectors.Decode(cfg, &c)}
	k.within("/http/connectTimeout", c.HTTP.ConnectTimeout, 1, maxTimeoutMS)
	k.within("/http/readTimeout", c.HTTP.ReadTimeout, 1, maxTimeoutMS)
	k.within("/http/idleTimeout", c.HTTP.IdleTimeout, 1, maxTimeoutMS)
	if n := c.HTTP.MaxConcurrentConnections; n != nil {
		k.within("/http/maxConcurrentConnections", *n, 1, maxConcurrency)
	}
	k.proxy("/proxy", &c.Proxy)
	return c, k.problems
}

func (k *checker) proxy(at string, p *Proxy) {
	p.Type = strings.ToUpper(cmp.Or(p.Type, proxyHTTP))
	switch p.Type {
	case proxyHTTP, proxySOCKS4, proxySOCKS5:
	default:
		k.fail(at+"/type", fmt.Sprintf("%q is not one of HTTP, SOCKS4, SOCKS5", p.Type))
	}
	if !p.Enabled || p.UseSystemProxy {
		return
	}
	if p.Host == "" {
		k.fail(at+"/host", "is required, or useSystemProxy")
	}
	const maxPort = 65535
	k.within(at+"/port", p.Port, 1, maxPort)
	if p.Type == proxySOCKS4 && p.Password != "" {
		k.fail(at+"/password", "cannot be sent to a SOCKS4 proxy; choose SOCKS5")
	}
}

// checker collects what is wrong.
type checker struct{ problems apidef.Problems }

func (k *checker) fail(pointer, text string) {
	k.problems = append(k.problems, connectors.Invalid(pointer, text))
}

func (k *checker) within(pointer string, n, least, most int) {
	if n < least || n > most {
		k.fail(pointer, fmt.Sprintf("must be between %d and %d", least, most))
	}
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }
