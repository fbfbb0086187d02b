package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Figure is one measurement. Zero fields were not measured.
type Figure struct {
	PerSecond float64 `json:"perSecond"`
	P50Micros int64   `json:"p50Micros,omitempty"`
	P99Micros int64   `json:"p99Micros,omitempty"`
	CPUMicros float64 `json:"cpuMicrosPerMessage,omitempty"` // of the serving process alone
}

// Report is one run.
type Report struct {
	At            time.Time `json:"at"`
	Machine       string    `json:"machine"`
	Config        Config    `json:"config"`
	PostPlainHTTP Figure    `json:"postPlainHTTP"`
	ProduceAlone  Figure    `json:"produceAlone"`
	PostGlued     Figure    `json:"postGlued"`
	Post          Figure    `json:"post"`
	ConsumeAlone  Figure    `json:"consumeAlone"`
	Drain         Figure    `json:"drain"`
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%s; %d-byte messages, %d connections, broker and load on the same cores\n\n", r.Machine, r.Config.Size, r.Config.Clients)
	fmt.Fprintf(w, "%-52s %12s %9s %9s %12s %7s\n", "scenario", "per second", "p50", "p99", "CPU/message", "ratio")
	row := func(name string, f, limit Figure) {
		ratio := ""
		if limit.PerSecond > 0 {
			ratio = fmt.Sprintf("%.2f", f.PerSecond/limit.PerSecond)
		}
		fmt.Fprintf(w, "%-52s %12.0f %9s %9s %12s %7s\n", name, f.PerSecond, micros(float64(f.P50Micros)), micros(float64(f.P99Micros)), micros(f.CPUMicros), ratio)
	}
	none := Figure{}
	row("POST   limit: fasthttp answering 202, no broker", r.PostPlainHTTP, none)
	row("POST   limit: franz-go producing alone", r.ProduceAlone, none)
	row("POST   limit: fasthttp + franz-go glued by hand", r.PostGlued, none)
	row("POST   sluice -> Kafka, answered after the ack", r.Post, r.PostGlued)
	row("drain  limit: franz-go consuming alone", r.ConsumeAlone, none)
	row("drain  Kafka -> sluice -> one SSE client", r.Drain, r.ConsumeAlone)
	fmt.Fprintln(w, "\nevery 202 was counted in the topic; every message of the backlog arrived")
}

func micros(v float64) string {
	if v == 0 {
		return "-"
	}
	return time.Duration(v * float64(time.Microsecond)).Round(100 * time.Nanosecond).String()
}

// clockTick is the unit of /proc/PID/stat's times on Linux (USER_HZ).
const clockTick = 10 * time.Millisecond

// cpuOf is the user and system time that a process has used so far (proc(5), fields 14 and 15); 0 where unknown.
func cpuOf(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick
}

func thisMachine() string {
	model := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s", model, runtime.NumCPU(), runtime.Version())
}
