// Package cache is the policy "cache" (policies.md 6.5): it keeps answers of the backend in a cache resource, and gives them in place
// of the backend.
//
// It runs in the phase request, for the methods of the configuration. Where the cache has an answer, the backend is not asked, and the
// response phase runs on the answer that was kept: status, headers and body. Else the backend's answer is kept before the response
// phase, where responseCondition says so (it sees #upstreamResponse: status, headers, content), or without a condition where the
// status is 2xx; streams are not kept, nor bodies over 4 MiB. Entries are told apart by the API, the application (scope APPLICATION), the path, the query
// parameters in any order and key; neither the method nor the headers are part of that.
//
// Clients say REFRESH (ask the backend and keep its answer) or BY_PASS (ask the backend alone) in the header X-Gravitee-Cache or the query
// parameter cache, which are taken out of the request; allowRefreshAction: false makes REFRESH have no effect.
//
// A resource that there is not, or is no cache, is a 500 without a key. A cache elsewhere that cannot be asked is as one that has nothing. An
// entry that cannot be read is forgotten.
//
// Differences from the reference: the answer is kept before the client gets it and not meanwhile, so that the next request finds
// it; Cache-Control no-store and private of the backend's answer are honoured where useResponseCacheHeaders is set; the step ends the request phase
// where it has an answer.
package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of cache.
type Config struct {
	// CacheName is the name of a cache among the resources of the API. Required.
	CacheName string `json:"cacheName"`
	// Key is a part of the entries' keys; it may hold expressions. Default: none.
	Key string `json:"key"`
	// TimeToLiveSeconds bounds how long an answer is kept; the resource may keep it for less. Default 600.
	TimeToLiveSeconds int `json:"timeToLiveSeconds"`
	// Methods are those whose answers are kept. Default GET, OPTIONS, HEAD.
	Methods []string `json:"methods"`
	// ResponseCondition says which answers are kept. Default: those with a status 2xx.
	ResponseCondition string `json:"responseCondition"`
	// UseResponseCacheHeaders takes s-maxage, max-age or Expires of the answer where they are shorter. Default false.
	UseResponseCacheHeaders bool `json:"useResponseCacheHeaders"`
	// Scope is APPLICATION or API: whether applications share entries. Default APPLICATION.
	Scope string `json:"scope"`
	// AllowRefreshAction lets clients say REFRESH. Default true.
	AllowRefreshAction bool `json:"allowRefreshAction"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "cache",
	Name:    "Cache",
	Phases:  policies.Request,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config {
	return &Config{TimeToLiveSeconds: 600, Scope: "APPLICATION", AllowRefreshAction: true}
}

type policy struct {
	log       *slog.Logger
	resource  func(name string) any
	name      string
	key       *policies.Expression // nil: none
	condition *policies.Expression // nil: 2xx
	life      time.Duration
	methods   []string
	headers   bool // of the answer decide, too
	perApp    bool
	refresh   bool
	failed    atomic.Uint64
}

// maxLife bounds times to live, in seconds: a year.
const maxLife = 365 * 24 * 3600

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	fail := func(pointer, text string) { problems = append(problems, settings.Invalid(pointer, text)) }
	p := &policy{log: env.Log, resource: env.Resource, name: c.CacheName, life: time.Duration(c.TimeToLiveSeconds) * time.Second,
		headers: c.UseResponseCacheHeaders, perApp: c.Scope != "API", refresh: c.AllowRefreshAction}
	if c.CacheName == "" {
		fail("/cacheName", "is required: the name of a cache among the resources of the API")
	}
	if c.TimeToLiveSeconds < 1 || c.TimeToLiveSeconds > maxLife {
		fail("/timeToLiveSeconds", fmt.Sprintf("must be between 1 and %d", maxLife))
	}
	if c.Scope != "APPLICATION" && c.Scope != "API" {
		fail("/scope", "must be APPLICATION or API")
	}
	for _, m := range c.Methods {
		p.methods = append(p.methods, strings.ToUpper(m))
	}
	if len(p.methods) == 0 {
		p.methods = []string{"GET", "OPTIONS", "HEAD"}
	}
	for _, e := range []struct {
		at, text string
		to       **policies.Expression
	}{{"/key", c.Key, &p.key}, {"/responseCondition", c.ResponseCondition, &p.condition}} {
		if strings.TrimSpace(e.text) == "" {
			continue
		}
		var err error
		if *e.to, err = policies.ParseExpression(e.text); err != nil {
			fail(e.at, err.Error())
		}
	}
	return p, problems
}

// find returns the cache.
func (p *policy) find() (resource.Cache, error) {
	var found any
	if p.resource != nil {
		found = p.resource(p.name)
	}
	if cache, ok := found.(resource.Cache); ok {
		return cache, nil
	}
	text := "No cache has been defined with name " + p.name
	return nil, &message.Failure{Status: fasthttp.StatusInternalServerError, Message: text}
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(ctx context.Context, c *policies.Context) error {
	http := c.Exchange.HTTP
	asked := action(&http.Request)
	if asked == "BY_PASS" || !slices.Contains(p.methods, string(http.Method())) {
		return nil
	}
	cache, err := p.find()
	if err != nil {
		return err
	}
	key, err := p.keyOf(c)
	if err != nil {
		return err
	}
	if asked != "REFRESH" || !p.refresh {
		if kept := p.get(ctx, cache, key); kept != nil {
			kept.restore(&http.Response)
			return policies.ErrAnswered
		}
	}
	c.OnAnswer(func(ctx context.Context) { p.keep(ctx, c, cache, key) })
	return nil
}

// action is what the client asks of the cache. What carries it is taken out of the request.
func action(r *fasthttp.Request) string {
	asked := string(r.Header.Peek("X-Gravitee-Cache"))
	r.Header.Del("X-Gravitee-Cache")
	query := r.URI().QueryArgs()
	if v := query.Peek("cache"); v != nil {
		if asked == "" {
			asked = string(v)
		}
		query.Del("cache")
	}
	return strings.ToUpper(asked)
}

func (p *policy) get(ctx context.Context, cache resource.Cache, key string) *entry {
	value, ok, err := cache.Get(ctx, key)
	if err != nil {
		p.warn("cache cannot be asked", err)
	}
	if !ok || err != nil {
		return nil
	}
	kept := new(entry)
	if err := json.Unmarshal(value, kept); err != nil || kept.Status == 0 {
		p.warn("entry cannot be read, and is forgotten", err)
		if err := cache.Evict(ctx, key); err != nil {
			p.warn("entry is not forgotten", err)
		}
		return nil
	}
	return kept
}

// keep keeps the backend's answer.
func (p *policy) keep(ctx context.Context, c *policies.Context, cache resource.Cache, key string) {
	r := &c.Exchange.HTTP.Response
	life := p.lifeOf(r)
	if life <= 0 || r.IsBodyStream() || len(r.Body()) > maxBody || !p.wanted(c, r) {
		return
	}
	value, err := json.Marshal(entryOf(r))
	if err == nil {
		err = cache.Put(ctx, key, value, life)
	}
	if err != nil {
		p.warn("answer is not kept", err)
	}
}

// wanted tells whether an answer is to be kept.
func (p *policy) wanted(c *policies.Context, r *fasthttp.Response) bool {
	if p.condition == nil {
		const ok, redirection = 200, 300
		return r.StatusCode() >= ok && r.StatusCode() < redirection
	}
	headers := map[string]any{}
	for name, value := range r.Header.All() {
		if _, there := headers[string(name)]; !there {
			headers[string(name)] = string(value)
		}
	}
	c.Provide("upstreamResponse", el.OfMap(el.AnyMap{"status": r.StatusCode(), "headers": headers, "content": string(r.Body())}))
	defer c.Provide("upstreamResponse", el.Value{})
	yes, err := p.condition.Bool(c)
	if err != nil {
		p.warn("responseCondition cannot be evaluated", err)
	}
	return yes && err == nil
}

// warn tells of what is no reason to fail. Every power of two is logged.
func (p *policy) warn(what string, err error) {
	if n := p.failed.Add(1); n&(n-1) == 0 {
		p.log.Warn(what, "resource", p.name, "err", err, "count", n)
	}
}

var _ policies.RequestPolicy = (*policy)(nil)
