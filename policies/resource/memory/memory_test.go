package memory

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/policies/resource"
)

func made(t *testing.T, cfg string) *cache {
	t.Helper()
	c, problems := compile(json.RawMessage(cfg), resource.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return c.(*cache)
}

// has tells which of keys there are.
func has(t *testing.T, c *cache, keys string) string {
	t.Helper()
	out := ""
	for _, k := range strings.Split(keys, "") {
		v, ok, err := c.Get(t.Context(), k)
		if err != nil || ok && string(v) != "value of "+k {
			t.Fatalf("%s: %q, %v", k, v, err)
		}
		if ok {
			out += k
		}
	}
	return out
}

func put(t *testing.T, c *cache, keys string, life time.Duration) {
	t.Helper()
	for _, k := range strings.Split(keys, "") {
		if err := c.Put(t.Context(), k, []byte("value of "+k), life); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCache_Life(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg              string
		life, stay, gone time.Duration
	}{
		{`{}`, 0, 90 * 24 * time.Hour, 0},
		{`{}`, time.Minute, time.Minute - 1, time.Minute},
		{`{"timeToLiveSeconds":10}`, 0, 10*time.Second - 1, 10 * time.Second},
		{`{"timeToLiveSeconds":"10"}`, time.Minute, 10*time.Second - 1, 10 * time.Second},
		{`{"timeToLiveSeconds":10,"timeToIdleSeconds":1}`, 5 * time.Second, 5*time.Second - 1, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			cache := made(t, c.cfg)
			put(t, cache, "a", c.life)
			time.Sleep(c.stay)
			if has(t, cache, "a") == "" {
				t.Errorf("%s, life %v: gone after %v", c.cfg, c.life, c.stay)
			}
			time.Sleep(c.gone - c.stay)
			if c.gone > 0 && (has(t, cache, "a") != "" || cache.size != 0) {
				t.Errorf("%s, life %v: there after %v", c.cfg, c.life, c.gone)
			}
		})
	}
}

func TestCache_TheLeastRecentlyUsedMakesRoom(t *testing.T) {
	t.Parallel()
	c := made(t, `{"maxEntriesLocalHeap":3}`)
	put(t, c, "abc", 0)
	has(t, c, "a")
	put(t, c, "d", 0)
	if got := has(t, c, "abcd"); got != "acd" {
		t.Errorf("kept %s", got)
	}
	put(t, c, "d", 0) // again: nothing has to go
	if got := has(t, c, "acd"); got != "acd" {
		t.Errorf("kept %s", got)
	}
}

func TestCache_IsBoundedInBytes(t *testing.T) {
	t.Parallel()
	c := made(t, `{"maxEntriesLocalHeap":0}`)
	c.bytes = 3 * (entryBytes + 1 + len("value of a"))
	put(t, c, "abcdef", 0)
	if got := has(t, c, "abcdef"); got != "def" || c.size != c.bytes {
		t.Errorf("kept %s, %d bytes", got, c.size)
	}
	if err := c.Put(t.Context(), "f", make([]byte, c.bytes), 0); err != nil {
		t.Fatal(err)
	}
	if got := has(t, c, "abcdef"); got != "de" {
		t.Errorf("after one that is too large: %s", got)
	}
}

func TestCache_Evict(t *testing.T) {
	t.Parallel()
	c := made(t, ``)
	put(t, c, "ab", 0)
	for range 2 {
		if err := c.Evict(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if got := has(t, c, "ab"); got != "b" || c.order.Len() != 1 {
		t.Errorf("kept %s", got)
	}
}

func TestCompile_Refuses(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"timeToLiveSeconds", "timeToIdleSeconds", "maxEntriesLocalHeap"} {
		_, problems := compile(json.RawMessage(fmt.Sprintf(`{%q:-1}`, field)), resource.Env{})
		if len(problems) != 1 || problems[0].Pointer != "/"+field {
			t.Errorf("%s: %v", field, problems)
		}
	}
}
