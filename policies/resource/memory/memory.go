// Package memory is the resource type "cache" (policies.md 11.3): values by key in the memory of a worker, for as long as the
// revision of the API is served. Workers share nothing, and a deployment begins with an empty cache. It starts no goroutine: what
// is too old is forgotten when it is asked for, or makes room for others.
package memory

import (
	"container/list"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of a cache.
type Config struct {
	// TimeToLiveSeconds is how long a value is kept at most, in seconds, where who puts it does not say a shorter time. Default 0:
	// as long as there is room.
	TimeToLiveSeconds int64 `json:"timeToLiveSeconds"`
	// TimeToIdleSeconds is accepted and has no effect, as in the reference.
	TimeToIdleSeconds int64 `json:"timeToIdleSeconds"`
	// MaxEntriesLocalHeap is how many values are kept; the one that was not asked for the longest makes room. Default 1000; 0: as
	// many as fit into 64 MiB, which bounds every cache.
	MaxEntriesLocalHeap int `json:"maxEntriesLocalHeap"`
}

// maxBytes bounds a cache, in bytes of keys and values and what it costs to keep them. Ours.
const maxBytes = 64 << 20

// entryBytes is about what an entry costs beside its key and value, in bytes: list element, map slot and the struct.
const entryBytes = 160

// maxSeconds bounds how long a value is kept: a century, so that seconds fit into a time.Duration.
const maxSeconds = 100 * 365 * 24 * 3600

// Type is the catalog entry.
var Type = resource.Type{
	ID:      "cache",
	Aliases: []string{"cache-memory"},
	Name:    "Cache",
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config { return &Config{MaxEntriesLocalHeap: 1000} }

func compile(cfg json.RawMessage, _ resource.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	for _, f := range []struct {
		name  string
		value int64
	}{{"timeToLiveSeconds", c.TimeToLiveSeconds}, {"timeToIdleSeconds", c.TimeToIdleSeconds}} {
		if f.value < 0 || f.value > maxSeconds {
			problems = append(problems, settings.Invalid("/"+f.name, "must be 0 or more seconds, and a century at most"))
		}
	}
	if c.MaxEntriesLocalHeap < 0 {
		problems = append(problems, settings.Invalid("/maxEntriesLocalHeap", "must be 0, which means no bound but that in bytes, or more"))
	}
	return newCache(c), problems
}

// cache forgets the least recently asked for.
type cache struct {
	life    time.Duration // 0: no end
	entries int           // 0: no bound
	bytes   int

	mu sync.Mutex
	// guards the following
	byKey map[string]*list.Element // of order
	order *list.List               // of *entry, the most recently used first
	size  int
}

type entry struct {
	key   string
	value []byte
	until time.Time // zero: no end
}

func (e *entry) size() int { return len(e.key) + len(e.value) + entryBytes }

func newCache(c *Config) *cache {
	return &cache{life: time.Duration(c.TimeToLiveSeconds) * time.Second, entries: c.MaxEntriesLocalHeap, bytes: maxBytes,
		byKey: map[string]*list.Element{}, order: list.New()}
}

// Get implements resource.Cache.
func (c *cache) Get(_ context.Context, key string) ([]byte, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.byKey[key]
	if at == nil {
		return nil, false, nil
	}
	e := at.Value.(*entry)
	if !e.until.IsZero() && !time.Now().Before(e.until) {
		c.remove(at)
		return nil, false, nil
	}
	c.order.MoveToFront(at)
	return e.value, true, nil
}

// Put implements resource.Cache. A value that alone is larger than the cache is not kept.
func (c *cache) Put(_ context.Context, key string, value []byte, life time.Duration) error {
	e := &entry{key: key, value: value}
	if c.life > 0 && (life <= 0 || life > c.life) {
		life = c.life
	}
	if life > 0 {
		e.until = time.Now().Add(life)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.byKey[key]; old != nil {
		c.remove(old)
	}
	if e.size() > c.bytes {
		return nil
	}
	c.byKey[key] = c.order.PushFront(e)
	c.size += e.size()
	for c.size > c.bytes || c.entries > 0 && len(c.byKey) > c.entries {
		c.remove(c.order.Back())
	}
	return nil
}

// Evict implements resource.Cache.
func (c *cache) Evict(_ context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.byKey[key]; at != nil {
		c.remove(at)
	}
	return nil
}

func (c *cache) remove(at *list.Element) {
	e := c.order.Remove(at).(*entry)
	delete(c.byKey, e.key)
	c.size -= e.size()
}

var _ resource.Cache = (*cache)(nil)
