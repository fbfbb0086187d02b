//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/process"
)

// TestRates_SharedByThreeWorkers: a limit of 100 a second on three workers under 1,000 a second for 30 seconds. What is accepted
// stays within the bound of package policies/rates, with the time that counts really took, and no window is cut short.
func TestRates_SharedByThreeWorkers(t *testing.T) {
	const limit, rate, seconds, workers = 100, 1000, 30, 3
	c, err := process.StartCluster(t.Context(), t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Log(c.Tails())
		}
	})
	tokens := t.TempDir()
	for i := range workers {
		w, err := c.AddWorker("--admin-token-file", filepath.Join(tokens, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	def := decode(t, mockAPI(t, "limited", "/limited"))
	def["flows"] = []object{{"request": []object{{"policy": "rate-limit",
		"configuration": object{"addHeaders": true, "rate": object{"limit": limit, "periodTime": 1, "periodTimeUnit": "SECONDS"}}}}}}
	if _, err := c.Nodes[0].Deploy(t.Context(), encode(t, def)); err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, w := range c.Workers {
		urls = append(urls, w.Gateway+"/limited")
	}
	awaitServed(t, urls)
	for i := range workers {
		behind(t, c.Workers[i], filepath.Join(tokens, fmt.Sprint(i))) // forget how it began
	}
	accepted, refused, took := loadEvenly(t, urls, rate, seconds*time.Second)
	var late float64
	for i := range workers {
		late = max(late, behind(t, c.Workers[i], filepath.Join(tokens, fmt.Sprint(i))))
	}
	windows := int(took.Seconds()) + 2
	offered := float64(accepted+refused) / took.Seconds()
	quantum := max(1, limit/(20*workers))
	perWindow := limit + workers*(quantum-1) + int(offered*late) + 1
	t.Logf("accepted %d of %d in %s (%.0f/s offered): %.1f a second, limit %d; counts were known after %.1f ms at worst; bound %d in a window",
		accepted, accepted+refused, took, offered, float64(accepted)/took.Seconds(), limit, late*1000, perWindow)
	if accepted > windows*perWindow {
		t.Errorf("%d calls accepted, the bound is %d in each of %d windows", accepted, perWindow, windows)
	}
	if least := (seconds - 2) * limit; accepted < least {
		t.Errorf("%d calls accepted, fewer than %d: calls are refused too early", accepted, least)
	}
	if offered < rate*0.8 {
		t.Errorf("the load is %.0f a second, too little for the claim of %d", offered, rate)
	}
}

// awaitServed waits until each address limits calls.
func awaitServed(t *testing.T, urls []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), process.Within)
	defer cancel()
	for _, u := range urls {
		for {
			status, _, err := post(ctx, u, "x")
			if err == nil && (status == http.StatusAccepted || status == http.StatusTooManyRequests) {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s is not served: %d %v", u, status, err)
			}
		}
	}
}

// loadEvenly posts at a rate, in turn to each address.
func loadEvenly(t *testing.T, urls []string, rate int, during time.Duration) (accepted, refused int, took time.Duration) {
	t.Helper()
	var ok, no, other atomic.Int64
	next := make(chan string, rate)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var posters sync.WaitGroup
	for range 64 {
		posters.Go(func() {
			for u := range next {
				res, err := client.Post(u, "text/plain", strings.NewReader("x"))
				if err != nil {
					other.Add(1)
					continue
				}
				res.Body.Close()
				switch res.StatusCode {
				case http.StatusAccepted:
					ok.Add(1)
				case http.StatusTooManyRequests:
					no.Add(1)
				default:
					other.Add(1)
				}
			}
		})
	}
	begin := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for sent := 0; time.Since(begin) < during; <-tick.C {
		for ; sent < int(time.Since(begin).Seconds()*float64(rate)); sent++ {
			next <- urls[sent%len(urls)]
		}
	}
	close(next)
	posters.Wait()
	if n := other.Load(); n > 0 {
		t.Errorf("%d calls were neither accepted nor refused", n)
	}
	return int(ok.Load()), int(no.Load()), time.Since(begin)
}

// behind reads how late a worker heard of other workers' calls at worst since it was last asked, in seconds.
func behind(t *testing.T, w *process.Worker, tokenFile string) float64 {
	t.Helper()
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	status, page, err := get(t.Context(), w.Admin+"/_node/metrics/prometheus", "Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if err != nil || status != http.StatusOK {
		t.Fatalf("metrics: %d %v", status, err)
	}
	if !strings.Contains(page, "sluice_rates_behind_seconds") {
		t.Fatal("no metric sluice_rates_behind_seconds")
	}
	return sum(t, page, "sluice_rates_behind_seconds")
}
