package main

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-gateway/sluice/cmd/internal/config"
	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/dispatch"
	"github.com/sluice-gateway/sluice/proto/sealed"
)

// grace is how long a stopping process may take: a drain, and the flush of what is left.
const grace = 40 * time.Second

// Default addresses: loopback, the ports that users know.
const (
	defaultGateway    = "127.0.0.1:8082"
	defaultManagement = "127.0.0.1:8083"
	defaultAdmin      = "127.0.0.1:18082"
)

// defaultControlDir is where a control-plane node keeps its state.
const defaultControlDir = ".sluice-controlplane"

// common are the flags of every role.
type common struct {
	node, dataDir, admin, adminTokenFile, logLevel, otlp, propertiesKeyFile string
}

func (c *common) register(f *pflag.FlagSet, node, dataDir string) {
	f.StringVar(&c.node, "node-id", node, "name of this process, unique in the cluster")
	f.StringVar(&c.dataDir, "data-dir", dataDir, "where it keeps its state")
	f.StringVar(&c.admin, "admin-addr", defaultAdmin, "address of the technical API: health, readiness, metrics, profiles")
	f.StringVar(&c.adminTokenFile, "admin-token-file", "", "file with the admin token; made at first start (default <data-dir>/admin-token)")
	f.StringVar(&c.propertiesKeyFile, "properties-key-file", "", "file with the key of encrypted API properties, the same for every process; sluice dev makes one")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&c.otlp, "otlp-endpoint", "", "send traces there over OTLP/gRPC: http://host:4317 in the clear, host:4317 over TLS")
}

// propertiesKey reads the key of encrypted properties; nil: there is none.
func (c *common) propertiesKey() (*sealed.Key, error) {
	if c.propertiesKeyFile == "" {
		return nil, nil //nolint:nilnil // no key is a valid answer
	}
	f, err := os.Open(c.propertiesKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--properties-key-file: %w", err)
	}
	defer f.Close()
	const most = 4 << 10
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, fmt.Errorf("--properties-key-file: %w", err)
	}
	key, err := sealed.NewKey(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("--properties-key-file %s: %w; make one with: openssl rand -base64 32", c.propertiesKeyFile, err)
	}
	return key, nil
}

func (c *common) logger() (*slog.Logger, error) { return config.Logger(os.Stderr, c.logLevel, c.node) }

// hostname is the default name of a process that needs one of its own.
func hostname(prefix string) string {
	if h, err := os.Hostname(); err == nil && h != "" {
		return prefix + "-" + h
	}
	b := make([]byte, 4)
	_, _ = rand.Read(b)
	return prefix + "-" + hex.EncodeToString(b)
}

// listen opens a listener and says which flag to change where it cannot.
func listen(addr, flag string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with %s", err, flag)
	}
	return ln, nil
}

// gateway are the flags of roles that serve APIs.
type gateway struct {
	addr, certFile, keyFile string
	tags                    []string
	tenant                  string
	push                    dispatch.Config
	limits                  connectors.Limits
	webhookAllow            []netip.Prefix
	calloutAllow            []netip.Prefix
	ratesRedis              string
}

func (g *gateway) register(f *pflag.FlagSet) {
	d := connectors.DefaultLimits
	g.limits = d
	f.StringVar(&g.addr, "gateway-addr", defaultGateway, "address on which APIs are served")
	f.StringVar(&g.certFile, "gateway-tls-cert", "", "PEM certificate chain: serve APIs over TLS")
	f.StringVar(&g.keyFile, "gateway-tls-key", "", "PEM key of --gateway-tls-cert")
	f.StringSliceVar(&g.tags, "tags", nil, "sharding tags: serve only APIs that have one of them; !tag excludes")
	f.StringVar(&g.tenant, "tenant", "", "use only endpoints that name this tenant or none (default: every endpoint)")
	f.StringVar(&g.ratesRedis, "rates-redis", "", "count rate limits exactly in this Redis, redis://user:password@host:6379/0 (default: the workers exchange counts)")
	f.IntVar(&g.push.Max, "max-push-subscriptions", dispatch.DefaultMax, "push subscriptions and replays that deliver at once; more wait")
	f.DurationVar(&g.limits.RequestTimeout, "request-timeout", d.RequestTimeout, "a publish or a page must be answered within it")
	f.DurationVar(&g.limits.ProduceTimeout, "produce-timeout", d.ProduceTimeout, "a message that no broker took within it is answered as not stored")
	f.DurationVar(&g.limits.WriteTimeout, "write-timeout", d.WriteTimeout, "a client that takes no byte for so long is cut off")
	f.IntVar(&g.limits.MaxBody, "max-body-bytes", d.MaxBody, "largest request body")
	f.IntVar(&g.limits.MaxFrame, "max-frame-bytes", d.MaxFrame, "largest WebSocket message from a client")
	f.IntVar(&g.limits.ProducerBuffer, "producer-buffer-bytes", d.ProducerBuffer, "messages not yet acknowledged, per endpoint")
	f.IntVar(&g.limits.RingBytes, "ring-bytes", d.RingBytes, "recent messages kept for subscribers, per endpoint")
	f.IntVar(&g.limits.CatchUpReaders, "catch-up-readers", d.CatchUpReaders, "readers for subscribers that are behind, per endpoint")
	f.IntVar(&g.limits.CatchUpBytes, "catch-up-bytes", d.CatchUpBytes, "what one of them holds ahead")
	f.DurationVar(&g.limits.CheckpointEvery, "checkpoint-every", d.CheckpointEvery, "how often delivered positions are saved under auto")
	f.Func("webhook-allow-cidr", "addresses that webhooks may call although they are not public, e.g. 10.1.0.0/16; may be repeated", prefixes(&g.webhookAllow))
	f.Func("callout-allow-cidr", "link-local, metadata and multicast addresses that policies may call all the same, e.g. 169.254.10.0/24; may be repeated", prefixes(&g.calloutAllow))
	f.DurationVar(&g.limits.Drain, "drain-timeout", d.Drain, "how long an old revision may take to end")
}

// prefixes takes the ranges of addresses of a flag, one at a time.
func prefixes(into *[]netip.Prefix) func(string) error {
	return func(text string) error {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%q is no range of addresses such as 10.1.0.0/16 or fd00:1::/64", text)
		}
		*into = append(*into, prefix.Masked())
		return nil
	}
}

// tls loads the gateway's certificate; nil: plain.
func (g *gateway) tls() (*tls.Config, error) {
	if g.certFile == "" && g.keyFile == "" {
		return nil, nil //nolint:nilnil // plain is a valid answer
	}
	cert, err := tls.LoadX509KeyPair(g.certFile, g.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--gateway-tls-cert and --gateway-tls-key: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}, nil
}

// fields splits a comma-separated flag and drops what is empty.
func fields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
