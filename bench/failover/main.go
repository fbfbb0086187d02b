// Command failover measures what losing the leader of a three-node control plane costs its clients: kill -9 the leader,
// and take the time from the kill to the next accepted write, asked for without pause through the other nodes.
//
//	go run ./bench/failover [-rounds 5] [-o json]
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/test/process"
)

func main() {
	rounds := flag.Int("rounds", 5, "how many leaders to kill")
	output := flag.String("o", "text", "text or json")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *rounds, *output); err != nil {
		fmt.Fprintln(os.Stderr, "bench-failover:", err)
		os.Exit(1)
	}
}

// Report is one run: from kill -9 of the leader to the next accepted write, in milliseconds.
type Report struct {
	Rounds   int     `json:"rounds"`
	MinMS    float64 `json:"minMS"`
	MedianMS float64 `json:"medianMS"`
	MaxMS    float64 `json:"maxMS"`
}

func run(ctx context.Context, rounds int, output string) error {
	dir, err := os.MkdirTemp("", "sluice-failover-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer process.CleanUp()
	fmt.Fprintln(os.Stderr, "starting three control-plane nodes ...")
	c, err := process.StartCluster(ctx, dir, 3)
	if err != nil {
		return err
	}
	defer c.Kill()
	var took []time.Duration
	for i := range rounds {
		t, err := round(ctx, c, i)
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
		fmt.Fprintf(os.Stderr, "[%d/%d] %s\n", i+1, rounds, t.Round(time.Millisecond))
		took = append(took, t)
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r := Report{rounds, ms(took[0]), ms(took[len(took)/2]), ms(took[len(took)-1])}
	if output == "json" {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Printf("writes accepted again after the leader was killed: minimum %.0f ms, median %.0f ms, maximum %.0f ms of %d\n", r.MinMS, r.MedianMS, r.MaxMS, rounds)
	return nil
}

// round kills the leader, times the next accepted write, and brings the node back.
func round(ctx context.Context, c *process.Cluster, i int) (time.Duration, error) {
	lead, err := c.Leader(ctx)
	if err != nil {
		return 0, err
	}
	lead.Kill()
	killed := time.Now()
	for n := 0; ; n++ {
		node := c.Nodes[n%len(c.Nodes)]
		if node == lead {
			continue
		}
		a, err := node.Do(ctx, http.MethodPost, "/v4/apis", definition(i))
		if err == nil && a.Status == http.StatusCreated {
			break
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	took := time.Since(killed)
	if err := lead.Restart(); err != nil {
		return 0, err
	}
	return took, lead.AwaitHealthy(ctx)
}

func definition(i int) []byte {
	return fmt.Appendf(nil, `{"name":"failover %d","apiVersion":"1","definitionVersion":"4.0.0","type":"message",
"listeners":[{"type":"http","paths":[{"path":"/failover/%d"}],"entrypoints":[{"type":"http-post"}]}],
"endpointGroups":[{"name":"mock","type":"mock","endpoints":[{"name":"mock","type":"mock"}]}]}`, i, i)
}
