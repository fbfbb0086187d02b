// Package redis is the resource "cache-redis" (policies.md 11.4): a cache in a Redis server, which all workers share.
//
// Keys are gravitee:<key>, with releaseCache gravitee:<key>:<time of deployment>, so that a new deployment begins with an empty
// cache. Values may have up to 16 MiB. A server that cannot be reached, or does not answer within timeout, is an error of the call,
// which policies take as a miss; the client connects again by itself. Connections are made when they are needed, and closed with the last
// revision that uses the resource. Sentinels are asked for the master where there are any.
//
// Difference from the reference: with useSsl the server's certificate is verified, with the system's authorities unless ssl says otherwise, and maxTotal has
// no effect: there are at most ten connections per processor.
package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/sluice-gateway/sluice/policies/callout"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of cache-redis.
type Config struct {
	// Host is where the server is. Default localhost.
	Host string `json:"host"`
	// Port is that of the server. Default 6379.
	Port int `json:"port"`
	// Username and Password are shown to the server. Default: none.
	Username string `json:"username"`
	Password string `json:"password"`
	// UseSSL speaks TLS. Default true.
	UseSSL bool `json:"useSsl"`
	// SSL says whom we trust and shows our certificate.
	SSL callout.SSL `json:"ssl"`
	// Sentinel finds the master of a group of servers.
	Sentinel Sentinel `json:"sentinel"`
	// ReleaseCache begins with an empty cache at each deployment. Default false.
	ReleaseCache bool `json:"releaseCache"`
	// TimeToLiveSeconds bounds how long values are kept; 0: without end. Default 0.
	TimeToLiveSeconds int `json:"timeToLiveSeconds"`
	// Timeout bounds a command, in milliseconds. Default 2000.
	Timeout int `json:"timeout"`
	// Standalone is Host and Port in an older form.
	Standalone *Standalone `json:"standalone"`
	// SentinelMode is Sentinel.Enabled in an older form.
	SentinelMode bool `json:"sentinelMode"`
	// MaxTotal has no effect.
	MaxTotal int `json:"maxTotal"`
}

// Sentinel finds the master of a group of servers.
type Sentinel struct {
	// Enabled asks the sentinels. Default false.
	Enabled bool `json:"enabled"`
	// MasterID is the group's name. Required where Enabled.
	MasterID string `json:"masterId"`
	// Password is shown to the sentinels. Default: none.
	Password string `json:"password"`
	// Nodes are the sentinels. Required where Enabled.
	Nodes []Node `json:"nodes"`
}

// Node is where a sentinel is.
type Node struct {
	// Host and Port of the sentinel. Required; the port is 26379 by default.
	Host string `json:"host"`
	Port int    `json:"port"`
}

// Standalone is one server.
type Standalone struct {
	// Enabled takes Host and Port from here.
	Enabled bool   `json:"enabled"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
}

// Type is the entry of the catalog of resources.
var Type = resource.Type{
	ID:      "cache-redis",
	Aliases: []string{"redis"},
	Name:    "Redis Cache",
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config {
	return &Config{Host: "localhost", Port: 6379, UseSSL: true, SSL: callout.SSL{HostnameVerifier: true}, Timeout: 2000}
}

// maxValue bounds values, in bytes.
const maxValue = 16 << 20

// Bounds of the configuration.
const (
	sentinelPort = 26379
	maxTimeout   = 60000              // ms
	maxLife      = 365 * 24 * 60 * 60 // s
)

type cache struct {
	config Config
	tls    *callout.TLS
	dial   callout.Dial
	suffix string
	life   time.Duration

	mu sync.Mutex
	// guards the following
	client redis.UniversalClient // nil: not needed yet
	closed bool
}

func compile(cfg json.RawMessage, env resource.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	fail := func(pointer, text string) { problems = append(problems, settings.Invalid(pointer, text)) }
	if s := c.Standalone; s != nil && s.Enabled && !c.SentinelMode {
		c.Host, c.Port = s.Host, s.Port
	}
	c.Sentinel.Enabled = c.Sentinel.Enabled || c.SentinelMode
	if c.Sentinel.Enabled {
		if c.Sentinel.MasterID == "" {
			fail("/sentinel/masterId", "is required: the name of the group")
		}
		if len(c.Sentinel.Nodes) == 0 {
			fail("/sentinel/nodes", "is required: where the sentinels are")
		}
		for i := range c.Sentinel.Nodes {
			n := &c.Sentinel.Nodes[i]
			if n.Port == 0 {
				n.Port = sentinelPort
			}
			checkAddress(fmt.Sprintf("/sentinel/nodes/%d", i), n.Host, n.Port, fail)
		}
	} else {
		checkAddress("", c.Host, c.Port, fail)
	}
	if c.Timeout < 1 || c.Timeout > maxTimeout {
		fail("/timeout", fmt.Sprintf("must be between 1 and %d milliseconds", maxTimeout))
	}
	if c.TimeToLiveSeconds < 0 || c.TimeToLiveSeconds > maxLife {
		fail("/timeToLiveSeconds", fmt.Sprintf("must be between 0 and %d", maxLife))
	}
	secure, more := c.SSL.Read("/ssl")
	out := &cache{config: *c, tls: secure, dial: env.Dial, life: time.Duration(c.TimeToLiveSeconds) * time.Second}
	if out.dial == nil {
		out.dial = callout.Guard{}.Dial
	}
	if c.ReleaseCache && env.API != nil {
		out.suffix = ":" + env.API.DeployedAt
	}
	return out, append(problems, more...)
}

func checkAddress(at, host string, port int, fail func(pointer, text string)) {
	if strings.TrimSpace(host) == "" {
		fail(at+"/host", "is required: where the server is")
	}
	if port < 1 || port > 65535 {
		fail(at+"/port", "must be between 1 and 65535")
	}
}

var errClosed = errors.New("the cache is closed: nothing uses it any more")

// open returns the client, which connects when it is first asked.
func (c *cache) open() (redis.UniversalClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errClosed
	case c.client != nil:
		return c.client, nil
	}
	timeout := time.Duration(c.config.Timeout) * time.Millisecond
	o := redis.UniversalOptions{
		Username: c.config.Username, Password: c.config.Password,
		Dialer:      func(ctx context.Context, network, addr string) (net.Conn, error) { return c.dial(ctx, network, addr) },
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		MaxRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		Addrs:                    []string{net.JoinHostPort(c.config.Host, strconv.Itoa(c.config.Port))},
	}
	if s := &c.config.Sentinel; s.Enabled {
		o.MasterName, o.SentinelPassword, o.Addrs = s.MasterID, s.Password, nil
		for _, n := range s.Nodes {
			o.Addrs = append(o.Addrs, net.JoinHostPort(n.Host, strconv.Itoa(n.Port)))
		}
	}
	if c.config.UseSSL {
		o.Dialer = c.secured(timeout)
	}
	c.client = redis.NewUniversalClient(&o)
	return c.client, nil
}

// Get implements resource.Cache.
func (c *cache) Get(ctx context.Context, key string) ([]byte, bool, error) {
	client, err := c.open()
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	// Not GET: what the server sends is bounded before it is read.
	pipe := client.Pipeline()
	there := pipe.Exists(ctx, c.name(key))
	value := pipe.GetRange(ctx, c.name(key), 0, maxValue)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, false, fmt.Errorf("get from redis: %w", err)
	}
	text := value.Val()
	switch {
	case there.Val() == 0:
		return nil, false, nil
	case len(text) > maxValue:
		return nil, false, errTooLarge
	}
	return []byte(text), true, nil
}

var errTooLarge = fmt.Errorf("the value is larger than %d bytes", maxValue)

// Put implements resource.Cache.
func (c *cache) Put(ctx context.Context, key string, value []byte, life time.Duration) error {
	if len(value) > maxValue {
		return errTooLarge
	}
	client, err := c.open()
	if err != nil {
		return err
	}
	if life <= 0 || c.life > 0 && life > c.life {
		life = c.life
	}
	if life > 0 && life < time.Millisecond {
		life = time.Millisecond // the server knows no less
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	if err := client.Set(ctx, c.name(key), value, life).Err(); err != nil {
		return fmt.Errorf("put into redis: %w", err)
	}
	return nil
}

// Evict implements resource.Cache.
func (c *cache) Evict(ctx context.Context, key string) error {
	client, err := c.open()
	if err != nil {
		return err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	if err := client.Del(ctx, c.name(key)).Err(); err != nil {
		return fmt.Errorf("evict from redis: %w", err)
	}
	return nil
}

// Close implements io.Closer.
func (c *cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.client == nil {
		return nil
	}
	return c.client.Close()
}

func (c *cache) name(key string) string { return "gravitee:" + key + c.suffix }

// limit bounds a command, the wait for a connection and its tries included.
func (c *cache) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(c.config.Timeout)*time.Millisecond)
}

var _ resource.Cache = (*cache)(nil)
