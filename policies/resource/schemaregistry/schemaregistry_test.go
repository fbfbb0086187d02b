package schemaregistry_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/policies/resource/schemaregistry"
)

const inner = `{"type":"record","name":"In","namespace":"x","fields":[{"name":"v","type":"int"}]}`
const outer = `{"type":"record","name":"Out","namespace":"x","fields":[{"name":"i","type":"x.In"}]}`

// front is a registry that counts what it is asked, and can be made to fail.
type front struct {
	*httptest.Server
	asked atomic.Int32
	fails atomic.Bool
	auth  atomic.Value
}

func newFront(t *testing.T, start func(http.Handler) *httptest.Server) (*front, *sr.Client) {
	t.Helper()
	fake := srfake.New()
	t.Cleanup(fake.Close)
	client, err := sr.NewClient(sr.URLs(fake.URL()))
	if err != nil {
		t.Fatal(err)
	}
	f := &front{}
	f.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked.Add(1)
		f.auth.Store(r.Header.Get("Authorization"))
		if f.fails.Load() {
			http.Error(w, `{"error_code":50001,"message":"down"}`, http.StatusInternalServerError)
			return
		}
		r.Host, r.URL.Host, r.URL.Scheme, r.RequestURI = "", strings.TrimPrefix(fake.URL(), "http://"), "http", ""
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	t.Cleanup(f.Close)
	return f, client
}

func open(t *testing.T, cfg any) resource.SchemaRegistry {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	made, problems := schemaregistry.Type.Compile(text, resource.Env{Log: slog.New(slog.DiscardHandler)})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.(interface{ Close() error }).Close() })
	return made.(resource.SchemaRegistry)
}

// use runs all that policies ask of a registry.
func use(t *testing.T, client *sr.Client, r resource.SchemaRegistry) (out *resource.Schema) {
	t.Helper()
	ctx := context.Background()
	if _, err := client.CreateSchema(ctx, "in", sr.Schema{Schema: inner}); err != nil {
		t.Fatal(err)
	}
	made, err := client.CreateSchema(ctx, "out", sr.Schema{Schema: outer, References: []sr.SchemaReference{{Name: "x.In", Subject: "in", Version: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.ByID(ctx, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if s.ID != made.ID || s.Kind != resource.Avro || s.Text != outer || len(s.References) != 1 || s.References[0].Name != "x.In" || s.References[0].Text != inner {
		t.Errorf("%+v", s)
	}
	if s, err := r.BySubject(ctx, "in", 0); err != nil || s.Text != inner || s.Version != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := r.BySubject(ctx, "in", 1); err != nil || s.Subject != "in" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := r.Find(ctx, "in", resource.Avro, inner); err != nil || s.ID == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	for name, err := range map[string]error{"id": second(r.ByID(ctx, 99999)), "subject": second(r.BySubject(ctx, "none", 0)), "version": second(r.BySubject(ctx, "in", 77)),
		"text": second(r.Find(ctx, "in", resource.Avro, `"int"`))} {
		if !errors.Is(err, resource.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	return s
}

func second(_ *resource.Schema, err error) error { return err }

// TestRegistry_KeepsWhatItFinds: a schema is asked for once, and what failed is asked for again.
func TestRegistry_KeepsWhatItFinds(t *testing.T) {
	t.Parallel()
	f, client := newFront(t, httptest.NewServer)
	r := open(t, map[string]any{"url": f.URL, "authentication": map[string]any{"basic": map[string]any{"username": "u", "password": "p"}}})
	s := use(t, client, r)
	if got := f.auth.Load(); got != "Basic dTpw" {
		t.Errorf("Authorization %q", got)
	}
	before := f.asked.Load()
	for range 5 {
		if again, err := r.ByID(context.Background(), s.ID); err != nil || again != s {
			t.Error(again, err)
		}
	}
	if n := f.asked.Load() - before; n != 0 {
		t.Errorf("asked %d times for what is known", n)
	}
	f.fails.Store(true)
	if _, err := r.BySubject(context.Background(), "out", 1); err == nil || errors.Is(err, resource.ErrUnknown) {
		t.Error(err)
	}
	f.fails.Store(false)
	if _, err := r.BySubject(context.Background(), "out", 1); err != nil {
		t.Errorf("an error was kept: %v", err)
	}
}

func TestRegistry_TLS(t *testing.T) {
	t.Parallel()
	f, client := newFront(t, httptest.NewTLSServer)
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}))
	use(t, client, open(t, map[string]any{"url": f.URL, "ssl": map[string]any{"trustStore": map[string]any{"type": "PEM", "content": cert}}}))
	ctx := context.Background()
	other := strings.Replace(f.URL, "127.0.0.1", "localhost", 1) // which the certificate is not of
	for _, c := range []struct {
		ssl map[string]any
		ok  bool
	}{{nil, false}, {map[string]any{"trustStore": map[string]any{"content": cert}}, false}, {map[string]any{"trustStore": map[string]any{"content": cert}, "hostnameVerifier": false}, true},
		{map[string]any{"hostnameVerifier": false}, false}, {map[string]any{"trustAll": true}, true}} {
		_, err := open(t, map[string]any{"registryUrl": other, "ssl": c.ssl}).BySubject(ctx, "in", 1)
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.ssl, err)
		}
	}
}

// TestRegistry_LargeAnswer: an answer without end is not read to its end.
func TestRegistry_LargeAnswer(t *testing.T) {
	t.Parallel()
	answer := []byte(`{"schema":"` + strings.Repeat("x", 5<<20) + `"}`)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
	t.Cleanup(s.Close)
	if _, err := open(t, map[string]any{"url": s.URL}).ByID(context.Background(), 1); err == nil || !strings.Contains(err.Error(), "more than 4194304 bytes") {
		t.Error(err)
	}
}

func TestCompile_Refuses(t *testing.T) {
	t.Parallel()
	for cfg, want := range map[string]string{
		`{}`:                          "/url  is required",
		`{"url":"registry:8081"}`:     "/url  is required",
		`{"url":"http://a, ftp://b"}`: "/url  is required",
		`{"url":"http://a","authentication":{"type":"oauth"}}`:    "/authentication/type  must be none or basic",
		`{"url":"http://a","ssl":{"trustStore":{"type":"JKS"}}}`:  "/ssl/trustStore/type  must be NONE or PEM",
		`{"url":"http://a","ssl":{"trustStore":{"content":"x"}}}`: "/ssl/trustStore/content  has no certificate",
		`{"url":"http://a","ssl":{"keyStore":{"type":"PEM"}}}`:    "/ssl/keyStore/content  must be a certificate and its key",
	} {
		_, problems := schemaregistry.Type.Compile(json.RawMessage(cfg), resource.Env{})
		if err := problems.Err(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", cfg, err, want)
		}
	}
}
