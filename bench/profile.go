package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/sluice-gateway/sluice/bench/stack"
)

// profiles are taken of the worker, each over the time that is measured.
var profiles = map[string]string{"cpu": "profile", "allocations": "allocs", "mutex": "mutex", "block": "block"}

// maxProfile bounds one, in bytes.
const maxProfile = 64 << 20

// profiling takes the profiles of the worker while a scenario is measured, into Options.Profiles.
func (r *runner) profiling() during {
	seconds := int(math.Ceil(max(r.o.Duration.Seconds(), 1)))
	return func(context.Context) error {
		// The job may be done before the profile is: a short one is profiled with the silence behind it, which costs nothing.
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		var wg sync.WaitGroup
		failed := make(chan error, len(profiles))
		for name, path := range profiles {
			wg.Go(func() {
				file := filepath.Join(r.o.Profiles, fmt.Sprintf("%03d-%s.pprof", r.done+1, name))
				failed <- fetchProfile(ctx, r.worker, fmt.Sprintf("/_node/debug/pprof/%s?seconds=%d", path, seconds), file)
			})
		}
		wg.Wait()
		close(failed)
		var all error
		for err := range failed {
			all = errors.Join(all, err)
		}
		return all
	}
}

func fetchProfile(ctx context.Context, w *stack.Worker, path, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Admin+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProfile))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("profile %s: %s %.200s", path, res.Status, body)
	}
	return os.WriteFile(file, body, 0o644)
}
