// Command cmd runs the full grid: every served cell of the quality-of-service matrix under every fault, on real processes
// and brokers. Results are appended to a file, and what is in it is not run again; from it the documentation page is written.
// It exits with 1 where a promise was broken, and with 2 where a run itself failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/test/grid"
	"github.com/sluice-gateway/sluice/test/process"
)

type options struct {
	grid.Options
	root    string
	only    string
	results string
	atOnce  int
	report  bool
	again   bool
	any     bool
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "the repository")
	flag.IntVar(&o.Messages, "messages", 50_000, "messages of each run")
	flag.DurationVar(&o.Span, "span", 20*time.Second, "time in which they are written")
	flag.IntVar(&o.atOnce, "at-once", 3, "runs side by side")
	flag.StringVar(&o.only, "only", "", "only runs whose name matches this, e.g. \"^(sse|websocket) kafka auto subscribe .*kill-worker$\"")
	flag.StringVar(&o.results, "results", committed, "where results are, from the repository's root")
	flag.StringVar(&o.Dir, "histories", "", "where histories of broken promises are kept (default: a new directory)")
	flag.BoolVar(&o.KeepAll, "keep", false, "keep all histories")
	flag.BoolVar(&o.report, "report", false, "only write the documentation page")
	flag.BoolVar(&o.again, "again", false, "run also what is finished")
	flag.BoolVar(&o.any, "any-commit", false, "what another commit has finished is finished")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	process.CleanUp()
	switch {
	case errors.Is(err, errBroken):
		fmt.Fprintln(os.Stderr, "grid:", err)
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "grid:", err)
		os.Exit(2)
	}
}

// committed are the results of which the documentation tells.
const committed = "test/grid/results/grid.jsonl"

var errBroken = errors.New("promises were broken")

func run(ctx context.Context, o options) error {
	cells, err := grid.Cells()
	if err != nil {
		return err
	}
	results, err := grid.ReadResults(filepath.Join(o.root, o.results))
	if err != nil {
		return err
	}
	if !o.report {
		if err = prove(ctx, o, cells, results); err != nil && !errors.Is(err, errBroken) {
			return err
		}
	}
	if o.results != committed {
		return err
	}
	return errors.Join(err,
		os.WriteFile(filepath.Join(o.root, "docs/qos-proof.md"), grid.AppendPage(nil, cells, results), 0o644),
		os.WriteFile(filepath.Join(o.root, "docs/qos-proof.svg"), grid.AppendMap(nil, cells, results), 0o644))
}

// prove runs what is left.
func prove(ctx context.Context, o options, cells []grid.Cell, results *grid.Results) error {
	commit, err := commitOf(ctx, o.root)
	if err != nil {
		return err
	}
	wanted, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	todo := only(grid.Full(cells), wanted)
	if !o.again {
		finished := commit
		if o.any {
			finished = ""
		}
		todo = grid.Left(todo, results, finished)
	}
	p := &progress{started: time.Now()}
	for _, g := range todo {
		p.total += len(g.Cells)
	}
	if p.total == 0 {
		fmt.Println("nothing is left to run")
		return nil
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "sluice-histories-"); err != nil {
			return err
		}
		defer os.Remove(o.Dir) // where nothing was kept
	} else if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	var failed error
	for len(todo) > 0 && ctx.Err() == nil {
		todo, err = inWorld(ctx, o, todo, func(r grid.Result) error {
			r.Commit = commit
			p.tell(&r)
			return results.Append(r)
		})
		if err != nil {
			fmt.Println("FAILED:", err)
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		return errors.New("some runs failed, see above")
	}
	if p.broken > 0 {
		return fmt.Errorf("%w in %d of %d runs; their histories are in %s", errBroken, p.broken, p.total, o.Dir)
	}
	return nil
}

// inWorld runs groups in a fresh world, until all are through or one fails. It returns what is left, without what failed.
func inWorld(ctx context.Context, o options, todo []grid.Group, judged func(grid.Result) error) ([]grid.Group, error) {
	var cells []grid.Cell
	for _, g := range todo {
		cells = append(cells, g.Cells...)
	}
	data, err := os.MkdirTemp("", "sluice-grid-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(data)
	world, err := grid.NewWorld(ctx, data, cells)
	if err != nil {
		return nil, err
	}
	defer world.Close()
	for ; len(todo) > 0; todo = todo[1:] {
		for g := &todo[0]; len(g.Cells) > 0; {
			batch := g.Cells[:min(o.atOnce, len(g.Cells))]
			g.Cells = g.Cells[len(batch):]
			results, err := world.Run(ctx, g.Fault, batch, o.Options)
			if err != nil {
				at := filepath.Join(o.Dir, fmt.Sprintf("failed-%d.log", time.Now().UnixMilli()))
				return todo, errors.Join(fmt.Errorf("%w\nthe processes' logs: %s", err, at), os.WriteFile(at, []byte(world.Logs()), 0o644))
			}
			for _, r := range results {
				if err := judged(r); err != nil {
					return nil, err
				}
			}
		}
	}
	return nil, nil
}

// only keeps the runs whose name matches.
func only(groups []grid.Group, wanted *regexp.Regexp) []grid.Group {
	var out []grid.Group
	for _, g := range groups {
		kept := grid.Group{Fault: g.Fault}
		for _, c := range g.Cells {
			if wanted.MatchString(c.String() + " " + g.Fault.Name) {
				kept.Cells = append(kept.Cells, c)
			}
		}
		if len(kept.Cells) > 0 {
			out = append(out, kept)
		}
	}
	return out
}

// progress tells how far the grid is.
type progress struct {
	started             time.Time
	done, total, broken int
}

func (p *progress) tell(r *grid.Result) {
	p.done++
	verdict := "kept"
	if r.Err() != nil {
		p.broken++
		verdict = "BROKEN"
	}
	left := time.Since(p.started) / time.Duration(p.done) * time.Duration(p.total-p.done)
	fmt.Printf("[%d/%d] %-42s %-18s %-6s %d delivered, %d lost, %d twice, %d gaps, %.0f/s; %s left\n", p.done, p.total, r.Cell, r.Fault, verdict,
		r.Delivered, r.Lost, r.Duplicated, r.Gaps, r.Rate(), left.Round(time.Second))
	if err := r.Err(); err != nil {
		fmt.Printf("    %v\n    history: %s\n", err, r.History())
	}
}

// commitOf names the tree that is tried. Changes to results and to the page of them make no other tree.
func commitOf(ctx context.Context, root string) (string, error) {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("git %s: %w", args[0], err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	commit, err := git("log", "-1", "--format=%h", "--", ".", ":!test/grid/results", ":!docs/qos-proof.md", ":!docs/qos-proof.svg")
	if err != nil {
		return "", err
	}
	changed, err := git("status", "--porcelain", "--", ".", ":!test/grid/results", ":!docs/qos-proof.md", ":!docs/qos-proof.svg")
	if changed != "" {
		commit += "+"
	}
	return commit, err
}
