package grid

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
)

// TestPage_IsCommitted holds the pages against the results that are committed.
func TestPage_IsCommitted(t *testing.T) {
	t.Parallel()
	cells, err := Cells()
	if err != nil {
		t.Fatal(err)
	}
	results, err := ReadResults("results/grid.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]byte{"qos-proof.md": AppendPage(nil, cells, results), "qos-proof.svg": AppendMap(nil, cells, results)} {
		have, err := os.ReadFile(filepath.Join("../../docs", file))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(have), string(want)); diff != "" {
			t.Errorf("docs/%s is not what the results say, run 'make docs' (-file +results):\n%s", file, diff)
		}
	}
	for i := range results.all {
		if r := &results.all[i]; r.Err() != nil {
			t.Errorf("committed as broken: %v", r.Err())
		}
	}
}

// TestCells_WithoutADriver is what happens when the matrix serves what nobody can prove.
func TestCells_WithoutADriver(t *testing.T) {
	t.Parallel()
	known, brokers := map[string]entrypoint{"sse": entrypoints["sse"]}, map[string]func(*World) broker{"mock": endpoints["mock"]}
	everywhere := func(string, string) []qos.Level { return []qos.Level{qos.Auto} }
	_, err := cellsOf(everywhere, known, brokers)
	for _, want := range []string{"entrypoint http-get", "entrypoint websocket", "endpoint kafka", "endpoint mqtt5"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want it to name %s", err, want)
		}
	}
	one := func(in, out string) []qos.Level {
		if in == "sse" && out == "mock" {
			return []qos.Level{qos.None, qos.Auto}
		}
		return nil
	}
	if cells, err := cellsOf(one, known, brokers); err != nil || len(cells) != 2 {
		t.Errorf("%v, %v; want two cells", cells, err)
	}
	if _, err := cellsOf(func(string, string) []qos.Level { return nil }, known, brokers); err == nil {
		t.Error("a matrix that serves nothing was proved")
	}
}

func TestShort_IsEveryCellOnceAndEveryFault(t *testing.T) {
	t.Parallel()
	cells, err := Cells()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Cell]int{}
	for _, g := range Short(cells) {
		if len(g.Cells) == 0 {
			t.Errorf("no cell is under %s", g.Fault.Name)
		}
		for _, c := range g.Cells {
			seen[c]++
			if !g.Fault.Applies(c) {
				t.Errorf("%s cannot happen to %s", g.Fault.Name, c)
			}
		}
	}
	for _, c := range cells {
		if seen[c] != 1 {
			t.Errorf("%s is there %d times", c, seen[c])
		}
	}
}

func TestResults_GoOnWhereTheyWere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "grid.jsonl")
	c := Cell{Entrypoint: "sse", Endpoint: "kafka", Level: "auto", Direction: Subscribe}
	all, err := ReadResults(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, commit := range []string{"a", "b"} {
		if err := all.Append(Result{Cell: c, Fault: "none", Commit: commit, Delivered: 7, Seconds: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err = ReadResults(path); err != nil {
		t.Fatal(err)
	}
	if r := all.Find(c, "none"); r == nil || r.Commit != "b" || r.Rate() != 4 {
		t.Errorf("read again: %+v, want the last line of the run", r)
	}
	groups := Full([]Cell{c})
	for commit, want := range map[string]int{"b": len(groups) - 1, "": len(groups) - 1, "a": len(groups)} {
		if got := len(Left(groups, all, commit)); got != want {
			t.Errorf("%d faults are left at commit %q, want %d", got, commit, want)
		}
	}
}

// TestJudge_TellsABrokenPromise records a history in which a stored message never arrives.
func TestJudge_TellsABrokenPromise(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	r, err := newRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	p := party{self: judge.Event{Kind: judge.Subscribed, Subscriber: "client", Level: "at-least-once"}}
	r.connected(p, judge.Cursor{judge.Everywhere: 0})
	for seq := range int64(3) {
		m := identity{"k", seq}
		if seq != 1 {
			r.delivered(p, m) // before anybody knows where it lies
		}
		r.produced(m)
		r.isStored(m, "0", seq)
	}
	if s := r.state(); s.missing != 1 || !s.ended || s.deliveries != 2 {
		t.Errorf("%+v", s)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	v, err := Judge(path)
	if err != nil {
		t.Fatal(err)
	}
	res := (&run{cell: Cell{Entrypoint: "sse", Endpoint: "kafka", Level: "at-least-once", Direction: Subscribe}}).result(v)
	if res.Lost != 1 || res.Delivered != 2 || len(res.Broken) != 2 || res.Err() == nil {
		t.Errorf("%+v, want one lost: a loss and a silent gap", res)
	}
}

func TestBody_IsReadAgain(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 64} {
		b := body(identity{"k1.2", 77}, size)
		if m, err := parse(string(b)); err != nil || m != (identity{"k1.2", 77}) || len(b) < size {
			t.Errorf("%q is %+v, %v", b, m, err)
		}
	}
	for _, bad := range []string{"", "k", "k 1", "k x .", "mock message"} {
		if m, err := parse(bad); err == nil {
			t.Errorf("%q is %+v", bad, m)
		}
	}
}
