package claimcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func compiled(t *testing.T, api, cfg string, phase policies.Phase) policies.MessagePolicy {
	t.Helper()
	made, problems := compile(json.RawMessage(cfg), policies.Env{Log: slog.New(slog.DiscardHandler), Phase: phase, API: &exchange.API{ID: api}})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.(io.Closer).Close() })
	return made.(policies.MessagePolicy)
}

func on(t *testing.T, p policies.MessagePolicy, m *message.Message) string {
	t.Helper()
	var c policies.Context
	err := p.OnMessage(t.Context(), &c, m)
	var f *message.Failure
	if errors.As(err, &f) {
		return fmt.Sprint(f.Status, " ", f.Key)
	}
	return fmt.Sprint(err)
}

// stores are the configurations of a directory and of a bucket, each with how its objects are changed behind its back.
func stores(t *testing.T) map[string]struct {
	cfg     string
	objects func(change func([]byte) []byte)
} {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("claims"); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(s.Close)
	dir := t.TempDir()
	return map[string]struct {
		cfg     string
		objects func(change func([]byte) []byte)
	}{
		"FILE": {fmt.Sprintf(`{"threshold":4,"store":{"type":"FILE","directory":%q}}`, dir), func(change func([]byte) []byte) {
			files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %v", files, err)
			}
			content, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if content = change(content); content == nil {
				err = os.Remove(files[0])
			} else {
				err = os.WriteFile(files[0], content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		"S3": {fmt.Sprintf(`{"threshold":4,"store":{"type":"s3","endpoint":%q,"bucket":"claims","prefix":"/p/","accessKey":"a","secretKey":"s"}}`, s.URL), func(change func([]byte) []byte) {
			list, err := backend.ListBucket("claims", nil, gofakes3.ListBucketPage{})
			if err != nil || len(list.Contents) != 1 || !strings.HasPrefix(list.Contents[0].Key, "p/") {
				t.Fatalf("%+v, %v", list, err)
			}
			name := list.Contents[0].Key
			o, err := backend.GetObject("claims", name, nil)
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(o.Contents)
			if err != nil {
				t.Fatal(err)
			}
			if content = change(content); content == nil {
				_, err = backend.DeleteObject("claims", name)
			} else {
				_, err = backend.PutObject("claims", name, map[string]string{}, bytes.NewReader(content), int64(len(content)), nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
	}
}

func TestPolicy_ThereAndBack(t *testing.T) {
	t.Parallel()
	for name, s := range stores(t) {
		in, out := compiled(t, "api", s.cfg, policies.Publish), compiled(t, "api", s.cfg, policies.Subscribe)
		content := bytes.Repeat([]byte("large "), 100_000)
		headers := []message.Header{{Name: "a", Value: []byte("b")}}
		send := func() *message.Message {
			m := &message.Message{Content: bytes.Clone(content), Headers: headers}
			if got := on(t, in, m); got != "<nil>" || len(m.Content) > maxReference || len(m.Headers) != 2 || len(headers) != 1 {
				t.Fatalf("%s: %s, %.20s, %v", name, got, m.Content, m.Headers)
			}
			return m
		}
		send()
		m := send() // the same content again is the same object
		reference := bytes.Clone(m.Content)
		if got := on(t, out, m); got != "<nil>" || !bytes.Equal(m.Content, content) || len(m.Headers) != 1 {
			t.Errorf("%s, back: %s, %d bytes, %v", name, got, len(m.Content), m.Headers)
		}
		read := func(p policies.MessagePolicy) string {
			return on(t, p, &message.Message{Content: reference, Headers: []message.Header{{Name: "sluice-claim-check", Value: []byte("1")}}})
		}
		if got := read(compiled(t, "other", s.cfg, policies.Subscribe)); got != "500 CLAIM_CHECK_MISSING" {
			t.Errorf("%s, of another API: %s", name, got)
		}
		small := strings.Replace(s.cfg, "{", `{"maxSize":100,`, 1)
		if got := read(compiled(t, "api", small, policies.Subscribe)); got != "413 CLAIM_CHECK_TOO_LARGE" {
			t.Errorf("%s, larger than allowed: %s", name, got)
		}
		s.objects(func(b []byte) []byte { b = bytes.Clone(b); b[7]++; return b })
		if got := read(out); got != "500 CLAIM_CHECK_CORRUPT" {
			t.Errorf("%s, changed: %s", name, got)
		}
		s.objects(func(b []byte) []byte { return b[1:] })
		if got := read(out); got != "500 CLAIM_CHECK_CORRUPT" {
			t.Errorf("%s, cut off: %s", name, got)
		}
		send() // an object of another size is written anew
		if got := read(out); got != "<nil>" {
			t.Errorf("%s, stored anew: %s", name, got)
		}
		s.objects(func(b []byte) []byte { return append(bytes.Clone(b), 'x') })
		if got := read(out); got != "500 CLAIM_CHECK_CORRUPT" {
			t.Errorf("%s, longer: %s", name, got)
		}
		s.objects(func([]byte) []byte { return nil })
		if got := read(out); got != "500 CLAIM_CHECK_MISSING" {
			t.Errorf("%s, removed: %s", name, got)
		}
	}
}

func TestBucket_Failures(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(s.Close)
	empty := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	t.Cleanup(empty.Close)
	for _, endpoint := range []string{s.URL, empty.URL, "http://127.0.0.1:1"} {
		cfg := fmt.Sprintf(`{"threshold":1,"store":{"type":"S3","endpoint":%q,"bucket":"claims","accessKey":"a","secretKey":"s"}}`, endpoint)
		if got := on(t, compiled(t, "api", cfg, policies.Publish), &message.Message{Content: []byte("large")}); got != "503 CLAIM_CHECK_STORE_FAILURE" {
			t.Errorf("%s, put: %s", endpoint, got)
		}
		r, err := json.Marshal(referenceTo([]byte("large")))
		if err != nil {
			t.Fatal(err)
		}
		m := &message.Message{Content: r, Headers: []message.Header{{Name: mark}}}
		if got := on(t, compiled(t, "api", cfg, policies.Subscribe), m); got != "503 CLAIM_CHECK_STORE_FAILURE" {
			t.Errorf("%s, get: %s", endpoint, got)
		}
	}
}

func TestDirectory_RemovesWhatIsOld(t *testing.T) {
	t.Parallel()
	d := newDirectory(t.TempDir(), time.Hour, slog.New(slog.DiscardHandler))
	old, kept := referenceTo([]byte("old")).Name(), referenceTo([]byte("kept")).Name()
	foreign := filepath.Join(d.path, "foreign.txt")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{old, kept} {
		if err := d.put(context.Background(), name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	d.working.Wait()
	past := time.Now().Add(-2 * time.Hour)
	for _, file := range []string{d.file(old), d.file(kept), foreign} {
		if err := os.Chtimes(file, past, past); err != nil {
			t.Fatal(err)
		}
	}
	d.mu.Lock()
	d.swept = past
	d.mu.Unlock()
	// Storing again makes it young: the sweep, which this starts, may come before or after that.
	now := time.Now()
	if err := os.Chtimes(d.file(kept), now, now); err != nil {
		t.Fatal(err)
	}
	if err := d.put(context.Background(), kept, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.remove(now.Add(-time.Hour)); !errors.Is(err, context.Canceled) {
		t.Errorf("after it was closed: %v", err)
	}
	e := newDirectory(d.path, time.Hour, d.log)
	if _, err := e.remove(now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{d.file(old): false, d.file(kept): true, foreign: true} {
		if _, err := os.Stat(file); (err == nil) != want {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func FuzzReadReference(f *testing.F) {
	f.Add([]byte(`{"v":1,"sha256":"` + strings.Repeat("0", 64) + `","size":5}`))
	f.Add([]byte(`{"v":1,"sha256":"../x","size":-1}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := readReference(content)
		if err == nil && (len(r.Name()) != 67 || strings.Contains(r.Name(), "..") || r.Size < 0) {
			t.Fatalf("%+v", r)
		}
	})
}
