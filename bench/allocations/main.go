// Command allocations holds what the hot paths allocate against what is committed: benchmarks of the packages, in
// allocations per operation, which do not depend on the machine. More than the baseline fails; less asks for a new baseline.
//
//	go run ./bench/allocations [-update]
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// baseline is what is committed.
type baseline struct {
	// Rounds is how often each benchmark runs its operation: enough that what is done once counts for nothing.
	Rounds int `json:"rounds"`
	// Packages with the benchmarks that are held, by a regular expression.
	Packages []hot `json:"packages"`
}

type hot struct {
	Package    string           `json:"package"`
	Benchmarks string           `json:"benchmarks"`
	Allocs     map[string]int64 `json:"allocations"` // per operation, by benchmark
}

func main() {
	path := flag.String("baseline", "bench/allocations/baseline.json", "the committed baseline")
	update := flag.Bool("update", false, "write what is measured as the new baseline")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *path, *update); err != nil {
		fmt.Fprintln(os.Stderr, "allocations:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string, update bool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var b baseline
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var failed error
	for i := range b.Packages {
		got, err := b.Packages[i].measure(ctx, b.Rounds)
		if err != nil {
			return err
		}
		if update {
			b.Packages[i].Allocs = got
			continue
		}
		failed = errors.Join(failed, b.Packages[i].compare(got))
	}
	if !update {
		return failed
	}
	out, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(out, '\n'), 0o644)
}

// line is a benchmark's result: its name without the number of processors, and allocations per operation.
var line = regexp.MustCompile(`^(Benchmark\S+?)(?:-\d+)?\s.*?\s(\d+) allocs/op`)

func (h hot) measure(ctx context.Context, rounds int) (map[string]int64, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", h.Benchmarks, "-benchmem", "-benchtime", strconv.Itoa(rounds)+"x", h.Package)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", h.Package, err, out)
	}
	got := map[string]int64{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if m := line.FindStringSubmatch(lines.Text()); m != nil {
			n, _ := strconv.ParseInt(m[2], 10, 64)
			got[m[1]] = n
		}
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("%s: no benchmark matches %s\n%s", h.Package, h.Benchmarks, out)
	}
	return got, nil
}

// compare tells every benchmark that allocates more than is committed, or that is missing on either side.
func (h hot) compare(got map[string]int64) error {
	var problems []string
	for name, want := range h.Allocs {
		n, ok := got[name]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s %s is in the baseline but does not run", h.Package, name))
		case n > want:
			problems = append(problems, fmt.Sprintf("%s %s allocates %d times per operation, the baseline says %d", h.Package, name, n, want))
		case n < want:
			fmt.Printf("%s %s allocates %d times per operation, better than the baseline's %d: go run ./bench/allocations -update\n", h.Package, name, n, want)
		}
	}
	for name := range got {
		if _, ok := h.Allocs[name]; !ok {
			problems = append(problems, fmt.Sprintf("%s %s is not in the baseline: go run ./bench/allocations -update", h.Package, name))
		}
	}
	if len(problems) == 0 {
		fmt.Printf("ok  %s, %d benchmarks\n", h.Package, len(got))
		return nil
	}
	slices.SortFunc(problems, cmp.Compare[string])
	return errors.New(strings.Join(problems, "\n"))
}
