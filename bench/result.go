package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
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
	Memory int64  `json:"memoryBytes,omitempty"`
	Build
}

// Build is of what a binary was built.
type Build struct {
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"` // with changes that are in no commit
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
	// CPURatios and TailRatios are the same of the CPU time per message and of the 99th percentile of the latency, to the
	// same limit.
	CPURatios  []float64 `json:"cpuRatios,omitempty"`
	TailRatios []float64 `json:"p99Ratios,omitempty"`
}

// compare adds the ratios of one repetition to its limit's.
func (s *Series) compare(sample, limit Sample) {
	if limit.Value > 0 && sample.Value > 0 {
		s.Ratios = append(s.Ratios, sample.Value/limit.Value)
	}
	if a, b := sample.CPU(), limit.CPU(); a > 0 && b > 0 {
		s.CPURatios = append(s.CPURatios, a/b)
	}
	if sample.Latency != nil && limit.Latency != nil && limit.Latency.P99 > 0 {
		s.TailRatios = append(s.TailRatios, sample.Latency.P99/limit.Latency.P99)
	}
}

// Sample is one repetition.
type Sample struct {
	Value float64 `json:"value"` // in the series' unit
	load.Outcome
	Cost map[string]Cost `json:"cost,omitempty"` // by process: worker, broker, load, limit
	// Slope is what each connection of the second half of them took, in bytes.
	Slope float64 `json:"slopeBytes,omitempty"`
	// Readers are the fetch sessions that the worker had on the topic, at the most.
	Readers int `json:"readers,omitempty"`
}

// CPU is the CPU time per message of what is measured, the worker or the limit, in microseconds; 0: not known.
func (s Sample) CPU() float64 {
	if c, ok := s.Cost[costWorker]; ok {
		return c.CPUMicros
	}
	return s.Cost[costLimit].CPUMicros
}

// Names of processes in a sample's costs.
const (
	costWorker = "worker"
	costLimit  = "limit"
	costLoad   = "load"
	costBroker = "broker"
)

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
func thisMachine(b Build) Machine {
	m := Machine{Build: b, CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH}
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
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if fields := strings.Fields(string(b)); len(fields) > 1 && fields[0] == "MemTotal:" {
			kilobytes, _ := strconv.ParseInt(fields[1], 10, 64)
			m.Memory = kilobytes << 10
		}
	}
	return m
}
