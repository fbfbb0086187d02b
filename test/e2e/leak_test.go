//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/process"
)

// footprint is what a process holds: live heap in bytes after a collection, and goroutines.
type footprint struct{ heap, goroutines float64 }

// asked is what the admin port answers.
func asked(ctx context.Context, t *testing.T, dev *process.Dev, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, dev.Admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+dev.Token)
	status, body, err := do(req)
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %v", path, status, err)
	}
	return body
}

// footprintOf asks the admin port, having it collect garbage first.
func footprintOf(ctx context.Context, t *testing.T, dev *process.Dev) footprint {
	t.Helper()
	number := func(body, before string) float64 {
		for line := range strings.Lines(body) {
			if rest, ok := strings.CutPrefix(line, before); ok {
				v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				return v
			}
		}
		t.Fatalf("nothing begins with %q", before)
		return 0
	}
	// The profile collects first and tells the heap at once; a metric read later counts what was dropped since.
	return footprint{
		heap:       number(asked(ctx, t, dev, "/_node/debug/pprof/heap?gc=1&debug=1"), "# HeapAlloc = "),
		goroutines: number(asked(ctx, t, dev, "/_node/metrics/prometheus"), "go_goroutines "),
	}
}

// TestLeak_PostsAndReconnectingStreams makes 500,000 POSTs and opens and drops 2,000 streams; afterwards the process holds
// what it held after a warm-up.
func TestLeak_PostsAndReconnectingStreams(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	kafka := sharedKafka(t)
	dev := startDev(t, "--no-samples") // alone, so that nothing else moves its memory
	topic := kafka.Topic(t, 3)
	deploy(t, dev, apiOf(t, t.Name(), "/leak", kafka.Addr(), topic, entrypoint("http-post", "AUTO", nil), entrypoint("sse", "AUTO", nil)))
	work := func(posts int64, streams int) {
		body := []byte(strings.Repeat("x", 100))
		if ok, err := postMany(dev.Gateway+"/leak", body, 64, posts, http.StatusAccepted); ok != posts {
			t.Fatalf("%d of %d POSTs went well: %v", ok, posts, err)
		}
		reconnect(t, dev.Gateway, "/leak", streams)
	}
	work(20_000, 200) // fills pools, buffers and the ring
	before := settled(ctx, t, dev, footprint{})
	work(500_000, 2_000)
	after := settled(ctx, t, dev, before)
	t.Logf("before %.1f MiB, %v goroutines; after %.1f MiB, %v goroutines", before.heap/(1<<20), before.goroutines, after.heap/(1<<20), after.goroutines)
	const spare = 48 << 20 // the ring (32 MiB) may be fuller than it was after the warm-up
	if after.heap > before.heap+spare || after.goroutines > before.goroutines+32 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// settled waits until the streams' goroutines have gone, or for as long as a test step may take.
func settled(ctx context.Context, t *testing.T, dev *process.Dev, like footprint) footprint {
	t.Helper()
	deadline := time.Now().Add(process.Within)
	last := footprintOf(ctx, t, dev)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for calm := 0; calm < 5 && time.Now().Before(deadline); {
		<-tick.C
		now := footprintOf(ctx, t, dev)
		if now.goroutines >= last.goroutines && (like.goroutines == 0 || now.goroutines <= like.goroutines+32) {
			calm++
		} else {
			calm = 0
		}
		last = now
	}
	return last
}

// reconnect opens n streams, 50 at a time, reads the first line of each, and drops the connection.
func reconnect(t *testing.T, gateway, path string, n int) {
	t.Helper()
	addr := strings.TrimPrefix(gateway, "http://")
	var wg sync.WaitGroup
	failed := make(chan error, n)
	slots := make(chan struct{}, 50)
	for range n {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			if err := openAndDrop(addr, path); err != nil {
				failed <- err
			}
		}()
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
}

func openAndDrop(addr, path string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(process.Within))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", path)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if !strings.HasPrefix(line, "HTTP/1.1 200") {
		return fmt.Errorf("stream answered %q", line)
	}
	return nil
}
