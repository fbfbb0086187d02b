package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
)

// Format is the version of result files. A reader refuses another one.
const Format = 1

// Result is one run, as it is stored.
type Result struct {
	Format   int       `json:"format"`
	At       time.Time `json:"at"`
	Took     float64   `json:"tookSeconds"`
	Machine  Machine   `json:"machine"`
	Settings Settings  `json:"settings"`
	Brokers  Brokers   `json:"brokers"`
	Series   []*Series `json:"series"`
}

// Machine is where and of what a result was made.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Go     string `json:"go"`
	OS     string `json:"os"`
	Kernel string `json:"kernel,omitempty"`
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"` // built from a tree with changes that are in no commit
}

// Brokers is what the run was given.
type Brokers struct {
	Kafka      string `json:"kafka"` // "given" or "embedded"
	Partitions int    `json:"partitions"`
}

// Units of a series' value.
const (
	PerSecond = "per second"   // more is better
	Millis    = "milliseconds" // less is better
	BytesEach = "bytes per connection"
)

// Series are the repetitions of one scenario or of one limit.
type Series struct {
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	Group   string    `json:"group"`
	Unit    string    `json:"unit"`
	Limit   bool      `json:"limit,omitempty"`   // not Sluice, but what it is compared with
	Against []string  `json:"against,omitempty"` // its limits; the best of a repetition counts
	Samples []Sample  `json:"samples"`
	Ratios  []float64 `json:"ratios,omitempty"` // of each repetition to its limit
}

// Sample is one repetition.
type Sample struct {
	Value float64 `json:"value"` // in the series' unit
	load.Outcome
	Cost map[string]Cost `json:"cost,omitempty"` // by process: worker, broker, load, limit, control plane
}

// Cost is what a process used for one sample.
type Cost struct {
	CPUMicros float64 `json:"cpuMicrosPerMessage,omitempty"`
	Memory    int64   `json:"memoryBytes,omitempty"` // resident at the end
	Peak      int64   `json:"peakBytes,omitempty"`   // the most while it was measured
}

// Values are the samples' values.
func (s *Series) Values() []float64 {
	out := make([]float64, 0, len(s.Samples))
	for _, v := range s.Samples {
		out = append(out, v.Value)
	}
	return out
}

// Spread is the least, the middle and the most of some figures; zeros where there are none.
func Spread(values []float64) (least, median, most float64) {
	if len(values) == 0 {
		return 0, 0, 0
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	median = v[mid]
	if len(v)%2 == 0 {
		median = (v[mid-1] + v[mid]) / 2
	}
	return v[0], median, v[len(v)-1]
}

// Find returns the series of a name, or nil.
func (r *Result) Find(name string) *Series {
	i := slices.IndexFunc(r.Series, func(s *Series) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return r.Series[i]
}

// Read reads a result file.
func Read(path string) (*Result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s is no result of sluice bench: %w", path, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%s has format %d, this version reads %d: measure anew", path, r.Format, Format)
	}
	return &r, nil
}

// Write stores a result.
func (r *Result) Write(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// thisMachine tells where the run is, as far as the system says.
func thisMachine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			m.Commit = s.Value
		case "vcs.modified":
			m.Dirty = s.Value == "true"
		}
	}
	return m
}
