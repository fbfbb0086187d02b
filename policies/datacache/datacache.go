// Package datacache is the policy "data-cache" (policies.md 9.7): it reads, writes and forgets values in a cache resource.
//
// It runs in the phases request and response. GET puts the value of the evaluated cacheKey into the attribute of that name, and
// true or false into cacheMissAttributeKey; SET puts value, or where that is empty the attribute gravitee.policy.data-cache.value,
// under the key for timeToLive seconds; EVICT forgets the key. The attributes gravitee.attributes.policy.cache.operation and
// gravitee.attributes.policy.cache.ttl take the place of defaultOperation and timeToLive for one exchange.
//
// A resource that there is not, or is disabled, is a 500 NO_CACHE_RESOURCE, one that is no cache a 500 NO_CACHE, and a key or value
// that cannot be evaluated a 500 without a key. A cache elsewhere that cannot be asked is as one that has nothing: GET misses, SET and EVICT do nothing,
// and the log tells.
package datacache

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of data-cache.
type Config struct {
	// Resource is the name of a cache of the API. Required.
	Resource string `json:"resource"`
	// CacheKey is the key; it may hold expressions. Required.
	CacheKey string `json:"cacheKey"`
	// Value is what SET puts there; it may hold expressions. Default: the attribute gravitee.policy.data-cache.value.
	Value string `json:"value"`
	// DefaultOperation is GET, SET or EVICT. Required.
	DefaultOperation string `json:"defaultOperation"`
	// TimeToLive is how long SET keeps the value, in seconds; 0: as long as the resource says. Default 3600.
	TimeToLive int `json:"timeToLive"`
	// CacheMissAttributeKey is the attribute that tells whether GET found nothing. Default gravitee.policy.data-cache.cache-miss.
	CacheMissAttributeKey string `json:"cacheMissAttributeKey"`
}

// Attributes that take the place of the configuration, and of the value.
const (
	attributeOperation = "gravitee.attributes.policy.cache.operation"
	attributeTTL       = "gravitee.attributes.policy.cache.ttl"
	attributeValue     = "gravitee.policy.data-cache.value"
)

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "data-cache",
	Name:    "Data Cache",
	Phases:  policies.Request | policies.Response,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config {
	return &Config{TimeToLive: 3600, CacheMissAttributeKey: "gravitee.policy.data-cache.cache-miss"}
}

type policy struct {
	log        *slog.Logger
	resource   func(name string) any
	name       string
	key, value *policies.Expression // value nil: the attribute
	operation  string
	life       time.Duration
	miss       string
	failed     atomic.Uint64
}

// maxLife bounds times to live, in seconds: a hundred years.
const maxLife = 100 * 365 * 24 * 3600

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	fail := func(pointer, text string) { problems = append(problems, settings.Invalid(pointer, text)) }
	p := &policy{log: env.Log, resource: env.Resource, name: c.Resource, operation: strings.ToUpper(c.DefaultOperation),
		life: time.Duration(c.TimeToLive) * time.Second, miss: c.CacheMissAttributeKey}
	if c.Resource == "" {
		fail("/resource", "is required: the name of a cache among the resources of the API")
	}
	if !isOperation(p.operation) {
		fail("/defaultOperation", "must be one of: GET, SET, EVICT")
	}
	if c.TimeToLive < 0 || c.TimeToLive > maxLife {
		fail("/timeToLive", fmt.Sprintf("must be between 0 and %d seconds", maxLife))
	}
	var err error
	if p.key, err = policies.ParseExpression(c.CacheKey); err != nil {
		fail("/cacheKey", err.Error())
	} else if strings.TrimSpace(c.CacheKey) == "" {
		fail("/cacheKey", "is required: the key of the value")
	}
	if c.Value != "" {
		if p.value, err = policies.ParseExpression(c.Value); err != nil {
			fail("/value", err.Error())
		}
	}
	return p, problems
}

func isOperation(name string) bool { return name == "GET" || name == "SET" || name == "EVICT" }

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(ctx context.Context, c *policies.Context) error { return p.run(ctx, c) }

// OnResponse implements policies.ResponsePolicy.
func (p *policy) OnResponse(ctx context.Context, c *policies.Context) error { return p.run(ctx, c) }

func failure(key, text string) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: key, Message: text}
}

func (p *policy) run(ctx context.Context, c *policies.Context) error {
	var found any
	if p.resource != nil {
		found = p.resource(p.name)
	}
	if found == nil {
		return failure("NO_CACHE_RESOURCE", fmt.Sprintf("No cache resource named %q", p.name))
	}
	cache, ok := found.(resource.Cache)
	if !ok {
		return failure("NO_CACHE", fmt.Sprintf("The resource %q is no cache", p.name))
	}
	key, err := p.key.Text(c)
	if err != nil {
		return err
	}
	switch p.operationOf(c) {
	case "GET":
		p.get(ctx, c, cache, key)
	case "SET":
		return p.set(ctx, c, cache, key)
	case "EVICT":
		if err := cache.Evict(ctx, key); err != nil {
			p.warn("value is not forgotten", err)
		}
	}
	return nil
}

func (p *policy) operationOf(c *policies.Context) string {
	if v, ok := c.Exchange.Attribute(attributeOperation); ok {
		if text := strings.ToUpper(fmt.Sprint(v)); isOperation(text) {
			return text
		}
	}
	return p.operation
}

func (p *policy) get(ctx context.Context, c *policies.Context, cache resource.Cache, key string) {
	value, ok, err := cache.Get(ctx, key)
	if err != nil {
		p.warn("cache cannot be asked", err)
	}
	if ok {
		c.Exchange.SetAttribute(key, string(value))
	}
	c.Exchange.SetAttribute(p.miss, !ok)
}

func (p *policy) set(ctx context.Context, c *policies.Context, cache resource.Cache, key string) error {
	text := ""
	if p.value != nil {
		var err error
		if text, err = p.value.Text(c); err != nil {
			return err
		}
	} else if v, ok := c.Exchange.Attribute(attributeValue); ok && v != nil {
		text = fmt.Sprint(v)
	}
	life := p.life
	if v, ok := c.Exchange.Attribute(attributeTTL); ok {
		if n, err := strconv.Atoi(fmt.Sprint(v)); err == nil && n >= 0 && n <= maxLife {
			life = time.Duration(n) * time.Second
		}
	}
	if err := cache.Put(ctx, key, []byte(text), life); err != nil {
		p.warn("value is not kept", err)
	}
	return nil
}

// warn tells of a cache that cannot be asked. Every power of two is logged.
func (p *policy) warn(what string, err error) {
	if n := p.failed.Add(1); n&(n-1) == 0 {
		p.log.Warn(what, "resource", p.name, "err", err, "count", n)
	}
}

var (
	_ policies.RequestPolicy  = (*policy)(nil)
	_ policies.ResponsePolicy = (*policy)(nil)
)
