package redis

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/test/certs"
	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func compiled(t *testing.T, cfg string) resource.Cache {
	t.Helper()
	made, problems := Type.Compile(json.RawMessage(cfg), resource.Env{API: &exchange.API{DeployedAt: "42"}})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.(io.Closer).Close() })
	return made.(resource.Cache)
}

func at(t *testing.T, s *miniredis.Miniredis, more string) string {
	t.Helper()
	return fmt.Sprintf(`{"host":%q,"port":%s%s}`, s.Host(), s.Port(), more)
}

func TestCache(t *testing.T) {
	t.Parallel()
	s := miniredis.RunT(t)
	c := compiled(t, at(t, s, `,"useSsl":false,"timeToLiveSeconds":100`))
	ctx := t.Context()
	if v, ok, err := c.Get(ctx, "k"); ok || err != nil {
		t.Errorf("nothing there: %q, %v, %v", v, ok, err)
	}
	for key, value := range map[string]string{"k": "v\x00\n", "empty": ""} {
		if err := c.Put(ctx, key, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
		if v, ok, err := c.Get(ctx, key); string(v) != value || !ok || err != nil {
			t.Errorf("%s: %q, %v, %v", key, v, ok, err)
		}
	}
	if got, err := s.Get("gravitee:k"); got != "v\x00\n" || err != nil || s.TTL("gravitee:k") != 100*time.Second {
		t.Errorf("in the server: %q for %v, %v", got, s.TTL("gravitee:k"), err)
	}
	for _, life := range []struct{ asked, want time.Duration }{{time.Second, time.Second}, {time.Hour, 100 * time.Second}} {
		if err := c.Put(ctx, "k", nil, life.asked); err != nil || s.TTL("gravitee:k") != life.want {
			t.Errorf("kept for %v, %v; want %v", s.TTL("gravitee:k"), err, life.want)
		}
	}
	if err := c.Evict(ctx, "k"); err != nil || s.Exists("gravitee:k") {
		t.Errorf("evicted: %v", err)
	}
	if err := c.Put(ctx, "k", make([]byte, maxValue+1), 0); !errors.Is(err, errTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := s.Set("gravitee:foreign", strings.Repeat("x", maxValue+1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Get(ctx, "foreign"); !errors.Is(err, errTooLarge) {
		t.Errorf("too large in the server: %v", err)
	}
}

func TestCache_Release(t *testing.T) {
	t.Parallel()
	s := miniredis.RunT(t)
	if err := compiled(t, at(t, s, `,"useSsl":false,"releaseCache":true`)).Put(t.Context(), "k", []byte("v"), 0); err != nil || !s.Exists("gravitee:k:42") {
		t.Errorf("%v, %v", err, s.Keys())
	}
}

func TestCache_IsSecured(t *testing.T) {
	t.Parallel()
	ca := certs.Authority(t, "ca")
	s, err := miniredis.RunTLS(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "redis", "127.0.0.1").TLS()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.RequireUserAuth("me", "secret")
	trust := fmt.Sprintf(`,"ssl":{"trustStore":{"type":"PEM","certificates":%q}}`, ca.CertPEM)
	for _, c := range []struct{ name, more, want string }{
		{"the right password", trust + `,"username":"me","password":"secret"`, ""},
		{"a wrong password", trust + `,"username":"me","password":"guess"`, "WRONGPASS"},
		{"no authority", `,"username":"me","password":"secret"`, "certificate"},
	} {
		err := compiled(t, at(t, s, c.more)).Put(t.Context(), "k", []byte("v"), 0)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "guess")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestCache_Outage: calls end in time, and go through again when the server is back.
func TestCache_Outage(t *testing.T) {
	t.Parallel()
	s := miniredis.RunT(t)
	c := compiled(t, at(t, s, `,"useSsl":false,"timeout":500`))
	put := func() error { return c.Put(t.Context(), "k", []byte("v"), 0) }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := put(); err == nil {
		t.Error("no error without a server")
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := put(); err != nil {
		t.Errorf("when the server is back: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	slow := compiled(t, fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"useSsl":false,"timeout":50}`, silent.Addr().(*net.TCPAddr).Port))
	if _, _, err := slow.Get(context.Background(), "k"); err == nil {
		t.Error("no error where nobody answers")
	}
}

func TestCache_Closed(t *testing.T) {
	t.Parallel()
	c := compiled(t, `{"useSsl":false}`)
	_ = c.(io.Closer).Close()
	if _, _, err := c.Get(t.Context(), "k"); !errors.Is(err, errClosed) {
		t.Errorf("%v", err)
	}
}

func TestCompile_Problems(t *testing.T) {
	t.Parallel()
	for cfg, want := range map[string]string{
		`{"host":" "}`:             "/host",
		`{"port":0}`:               "/port",
		`{"timeout":0}`:            "/timeout",
		`{"timeToLiveSeconds":-1}`: "/timeToLiveSeconds",
		`{"sentinel":{"enabled":true,"nodes":[{"host":"h"}]}}`:              "/sentinel/masterId",
		`{"sentinelMode":true,"sentinel":{"masterId":"m"}}`:                 "/sentinel/nodes",
		`{"sentinel":{"enabled":true,"masterId":"m","nodes":[{"port":1}]}}`: "/sentinel/nodes/0/host",
		`{"standalone":{"enabled":true,"host":"h"}}`:                        "/port",
		`{"ssl":{"trustStore":{"type":"PEM"}}}`:                             "/ssl/trustStore",
	} {
		_, problems := Type.Compile(json.RawMessage(cfg), resource.Env{})
		if problems.Err() == nil || !strings.HasPrefix(problems[0].Pointer, want) {
			t.Errorf("%s: %v, want %s", cfg, problems, want)
		}
	}
}
