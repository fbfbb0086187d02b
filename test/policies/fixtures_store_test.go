package policies

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

func init() { register("store", startStore) }

// startStore serves S3 with the bucket "claims" (url), and makes a directory (path) and a file (file), which is none.
func startStore(t *testing.T) map[string]string {
	backend := s3mem.New()
	if err := backend.CreateBucket("claims"); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"url": s.URL, "path": t.TempDir(), "file": file}
}
