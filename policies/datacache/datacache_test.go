package datacache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// memory is a cache that remembers what it was told to do.
type memory struct {
	values map[string]string
	life   time.Duration
	down   error
}

func (m *memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	v, ok := m.values[key]
	return []byte(v), ok, m.down
}

func (m *memory) Put(_ context.Context, key string, value []byte, life time.Duration) error {
	if m.down == nil {
		m.values[key], m.life = string(value), life
	}
	return m.down
}

func (m *memory) Evict(_ context.Context, key string) error {
	delete(m.values, key)
	return m.down
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for _, c := range []struct {
		name, cfg  string
		attributes map[string]any
		resource   any
		want       string
	}{
		{"a value", `"defaultOperation":"GET"`, nil, &memory{values: map[string]string{"k-p": "v"}}, "v false"},
		{"none", `"defaultOperation":"get","cacheMissAttributeKey":"m"`, nil, &memory{values: map[string]string{}}, "<nil> true"},
		{"put", `"defaultOperation":"SET","value":"{#context.attributes['plan']}!"`, nil, &memory{values: map[string]string{}}, "<nil> <nil> map[k-p:p!] 1h0m0s"},
		{"put an attribute, for a time", `"defaultOperation":"SET","timeToLive":5`, map[string]any{attributeValue: 7, attributeTTL: "9"}, &memory{values: map[string]string{}}, "<nil> <nil> map[k-p:7] 9s"},
		{"another operation", `"defaultOperation":"SET"`, map[string]any{attributeOperation: "EVICT"}, &memory{values: map[string]string{"k-p": "v"}}, "<nil> <nil> map[] 0s"},
		{"a cache that is down", `"defaultOperation":"GET"`, nil, &memory{down: down}, "<nil> true"},
		{"and cannot take anything", `"defaultOperation":"SET"`, nil, &memory{down: down}, "<nil> <nil> map[] 0s"},
		{"no resource", `"defaultOperation":"GET"`, nil, nil, "500 NO_CACHE_RESOURCE"},
		{"no cache", `"defaultOperation":"GET"`, nil, "text", "500 NO_CACHE"},
	} {
		made, problems := compile(json.RawMessage(`{"resource":"r","cacheKey":"k-{#context.attributes['plan']}",`+c.cfg+`}`),
			policies.Env{Log: slog.New(slog.DiscardHandler), Resource: func(string) any { return c.resource }})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		var pc policies.Context
		x := &exchange.Exchange{Plan: "p"}
		for k, v := range c.attributes {
			x.SetAttribute(k, v)
		}
		pc.Init(x, nil)
		err := made.(policies.RequestPolicy).OnRequest(t.Context(), &pc)
		got := ""
		var f *message.Failure
		if errors.As(err, &f) {
			got = fmt.Sprint(f.Status, " ", f.Key)
		} else {
			value, _ := x.Attribute("k-p")
			miss, ok := x.Attribute("gravitee.policy.data-cache.cache-miss")
			if !ok {
				miss, _ = x.Attribute("m")
			}
			got = fmt.Sprint(value, " ", miss)
			if m := c.resource.(*memory); miss == nil {
				got += fmt.Sprint(" ", m.values, " ", m.life)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
