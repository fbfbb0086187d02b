package grid

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/sluice-gateway/sluice/qos/judge"
)

// Result is the judgement of one run, a line of a results file.
type Result struct {
	Cell
	Fault      string   `json:"fault"`
	Commit     string   `json:"commit,omitempty"` // of the tree that was tried
	Produced   int      `json:"produced"`
	Stored     int      `json:"stored"`
	Refused    int      `json:"refused,omitempty"`
	Unknown    int      `json:"unknown,omitempty"`
	Delivered  int      `json:"delivered"` // messages that arrived; of a publish run: that are in the log
	Lost       int      `json:"lost"`
	Duplicated int      `json:"duplicated"`
	Reordered  int      `json:"reordered"`
	Gaps       int      `json:"gaps"` // announced
	Seconds    float64  `json:"seconds"`
	Broken     []string `json:"broken,omitempty"` // promises

	history string
}

// History is where the history of a run is kept; "": it is not.
func (r *Result) History() string { return r.history }

// Rate is messages per second.
func (r *Result) Rate() float64 {
	if r.Seconds == 0 {
		return 0
	}
	return math.Round(float64(r.Delivered) / r.Seconds)
}

// Err is the promises that were broken; nil: none was.
func (r *Result) Err() error {
	if len(r.Broken) == 0 {
		return nil
	}
	return fmt.Errorf("%s under %s: %s", r.Cell, r.Fault, strings.Join(r.Broken, "; "))
}

func (r *run) result(v *judge.Verdict) Result {
	out := Result{Cell: r.cell, Fault: r.fault.Name, Produced: v.Produced, Stored: v.Stored, Refused: v.Refused, Unknown: v.Unknown,
		Seconds: math.Round(r.took.Seconds()*10) / 10}
	whole := "client"
	switch {
	case r.members:
		whole = bothMembers
	case r.cell.Direction == Publish:
		whole = log
	}
	for i := range v.Subscribers {
		s := &v.Subscribers[i]
		if s.Subscriber == whole {
			out.Delivered, out.Lost, out.Duplicated, out.Gaps = s.Delivered, s.Lost, s.Duplicated, s.Gaps
		}
		if s.Subscriber != whole || !r.members && r.cell.Direction == Subscribe {
			out.Reordered += s.Reordered
		}
	}
	if err := v.Err(); err != nil {
		out.Broken = strings.Split(err.Error(), "\n")
	}
	return out
}

// key tells results of the same run apart from others.
func (r *Result) key() string { return r.Cell.String() + " " + r.Fault }

// Results are what was judged so far: the last line of each run counts.
type Results struct {
	path string
	all  []Result
}

// ReadResults reads a results file; where there is none, there are no results yet.
func ReadResults(path string) (*Results, error) {
	out := &Results{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, n, err)
		}
		out.keep(r)
	}
	return out, lines.Err()
}

func (a *Results) keep(r Result) {
	for i := range a.all {
		if a.all[i].key() == r.key() {
			a.all[i] = r
			return
		}
	}
	a.all = append(a.all, r)
}

// Find returns what is known of a cell under a fault; nil: nothing.
func (a *Results) Find(c Cell, fault string) *Result {
	for i := range a.all {
		if a.all[i].Cell == c && a.all[i].Fault == fault {
			return &a.all[i]
		}
	}
	return nil
}

// Append adds a result to the file.
func (a *Results) Append(r Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(a.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("append to %s: %w", a.path, err)
	}
	a.keep(r)
	return nil
}
