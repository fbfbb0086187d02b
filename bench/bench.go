// Package bench measures Sluice against the plain limits of the machine that it runs on: every cell of the quality of service
// matrix, fan-out, idle connections, the control plane. What is measured, what makes load, and what it is compared with are
// processes of their own; the repetitions of scenarios and limits alternate, so that what else the machine does hits both.
// A run that lost a message which was promised is a failed run.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/bench/stack"
)

// Settings are how much is measured.
type Settings struct {
	Only        string        `json:"only,omitempty"` // regular expression over the names of scenarios
	Repetitions int           `json:"repetitions"`
	Duration    time.Duration `json:"duration"`   // of what is measured by time
	Messages    int64         `json:"messages"`   // in a backlog that is drained
	Clients     int           `json:"clients"`    // connections that post
	Size        int           `json:"size"`       // bytes of a message
	Rate        float64       `json:"rate"`       // messages per second where latency is measured
	HalfLoad    bool          `json:"halfLoad"`   // of POST to Kafka at half of what the best glue takes, instead of at Rate
	FanOut      []int         `json:"fanOut"`     // clients
	Paced       []Pace        `json:"paced"`      // fan-outs at a steady rate
	Deliveries  int64         `json:"deliveries"` // of a fan-out that goes as fast as it can
	Idle        int           `json:"idle"`       // connections
	APIs        int           `json:"apis"`       // of the control plane
	Workers     int           `json:"workers"`    // that report
	Changes     int           `json:"changes"`    // pushed to them in a repetition
	Aliases     bool          `json:"aliases"`    // types under their other names too, which are the same connectors
	WarmUp      time.Duration `json:"warmUp"`     // of the broker, before anything is measured: its compiler is busy until then
	Quiet       time.Duration `json:"quiet"`      // without a message, after which what a level may lose is not waited for
	Unlimited   bool          `json:"unlimited"`  // without the limits: for completeness alone
	Parallel    int           `json:"parallel"`   // groups at a time: more than one tells nothing of times
}

// Pace is a fan-out at a steady rate.
type Pace struct {
	Clients int     `json:"clients"`
	Rate    float64 `json:"rate"` // messages per second to each
}

// Full is what is measured where nobody says otherwise. 18,000 connections are what a process may open where it may have 20,000
// descriptors.
var Full = Settings{Repetitions: 5, Duration: 5 * time.Second, Messages: 200_000, Clients: 64, Size: 1024, Rate: 2000, HalfLoad: true,
	FanOut: []int{1, 100, 1000, 5000}, Paced: []Pace{{100, 1000}, {1000, 100}}, Deliveries: 1_000_000, Idle: 18_000,
	APIs: 10_000, Workers: 10, Changes: 100, Aliases: true, WarmUp: 15 * time.Second, Quiet: 5 * time.Second, Parallel: 1}

// Smoke is everything once and short, without limits: for completeness, not for figures.
var Smoke = Settings{Repetitions: 1, Duration: 200 * time.Millisecond, Messages: 500, Clients: 8, Size: 1024, Rate: 500,
	FanOut: []int{1, 50}, Paced: []Pace{{50, 500}}, Deliveries: 10_000, Idle: 200,
	APIs: 50, Workers: 2, Changes: 5, Quiet: time.Second, Unlimited: true, Parallel: 4}

// Options is one run.
type Options struct {
	Settings
	Self     string   // this binary
	Kafka    []string // bootstrap addresses
	MQTT     string   // address of the MQTT broker
	Build    Build    // of it
	Embedded bool     // a broker is an embedded one, for development: its figures say little of a real one's
	Profiles string   // directory for profiles of the worker while it is measured; "": none are taken
	Progress func(Progress)
}

// Progress is told before each step and at the end.
type Progress struct {
	Step, Steps int
	Name        string
	Left        time.Duration // a guess
}

// partitions of every topic of a run, as many as the sample definitions of the guides have.
const partitions = 6

// Run measures. The result holds what was measured also where it fails.
func Run(ctx context.Context, o Options) (*Result, error) {
	only, err := regexp.Compile(o.Only)
	if err != nil {
		return nil, fmt.Errorf("scenarios: %w", err)
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	r := &runner{o: o, dir: dir, result: &Result{Format: Format, At: began.UTC(), Machine: thisMachine(o.Build), Settings: o.Settings,
		Brokers: Brokers{Kafka: "given", Partitions: partitions}}}
	if o.Embedded {
		r.result.Brokers.Kafka = "embedded"
	}
	defer r.close()
	groups := selected(r.groups(), only, !o.Unlimited)
	if len(groups) == 0 {
		return nil, fmt.Errorf("no scenario matches %q; sluice bench list names them", o.Only)
	}
	err = r.all(ctx, groups)
	r.result.Took = time.Since(began).Seconds()
	return r.result, err
}

// List names all scenarios.
func List(s Settings) []string {
	var out []string
	r := &runner{o: Options{Settings: s}}
	for _, g := range r.groups() {
		for _, c := range g.cases {
			if !c.limit {
				out = append(out, c.name)
			}
		}
	}
	return out
}

// group are the scenarios and limits that are measured beside each other.
type group struct {
	name    string
	prepare func(context.Context) error
	cases   []*scenario
	end     func()
}

// scenario is one thing to measure, Sluice's or a limit.
type scenario struct {
	name, title string
	unit        string
	limit       bool
	against     []string
	run         func(context.Context) (Sample, error)
	guess       time.Duration // how long it takes
	series      *Series
}

// selected keeps the scenarios that match, and, where they are wanted, the limits that they are compared with; all limits where
// no scenario is chosen.
func selected(groups []*group, only *regexp.Regexp, limits bool) []*group {
	var out []*group
	for _, g := range groups {
		var wanted []string
		for _, c := range g.cases {
			switch {
			case c.limit && limits && only.String() == "":
				wanted = append(wanted, c.name)
			case !c.limit && only.MatchString(c.name):
				wanted = append(wanted, c.name)
				if limits {
					wanted = append(wanted, c.against...)
				}
			}
		}
		g.cases = slices.DeleteFunc(g.cases, func(c *scenario) bool { return !slices.Contains(wanted, c.name) })
		if len(g.cases) > 0 {
			out = append(out, g)
		}
	}
	return out
}

type runner struct {
	o      Options
	dir    string
	result *Result

	stack  *stack.Stack
	worker *stack.Worker
	kafka  *kafkaAdmin
	pid    int // of the broker, 0: not on this machine

	mu sync.Mutex
	// guards the following
	steps []time.Duration // guesses of all steps
	done  int
}

// errLost is in the error of a run that is not complete.
var errLost = errors.New("messages that were promised are missing")

func (r *runner) all(ctx context.Context, groups []*group) error {
	for _, g := range groups {
		for range r.o.Repetitions {
			for _, c := range g.cases {
				r.steps = append(r.steps, c.guess)
			}
		}
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	for _, g := range groups { // the series stand in the order of the groups, whichever ends first
		r.enrol(g)
	}
	failed := make([]error, len(groups))
	var all sync.WaitGroup
	free := make(chan struct{}, max(r.o.Parallel, 1))
	for i, g := range groups {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			if ctx.Err() == nil {
				failed[i] = r.group(ctx, g)
			}
		})
	}
	all.Wait()
	r.tell("done")
	return errors.Join(append(failed, ctx.Err())...)
}

// enrol gives each case of a group its place in the result.
func (r *runner) enrol(g *group) {
	for _, c := range g.cases {
		c.series = &Series{Name: c.name, Title: c.title, Group: g.name, Unit: c.unit, Limit: c.limit, Against: c.against}
		r.result.Series = append(r.result.Series, c.series)
	}
}

// group measures every case so many times, by turns: in one order and then in the other, so that none is always the first.
func (r *runner) group(ctx context.Context, g *group) error {
	if g.end != nil {
		defer g.end()
	}
	if g.prepare != nil {
		r.tell("preparing " + g.name)
		if err := g.prepare(ctx); err != nil {
			return fmt.Errorf("prepare %s: %w", g.name, err)
		}
	}
	var failed error
	for i := range r.o.Repetitions {
		order := slices.Clone(g.cases)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		round := map[string]Sample{}
		for _, c := range order {
			r.tell(c.name)
			sample, err := c.measure(ctx)
			r.step()
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s, repetition %d: %w", c.name, i+1, err))
				if ctx.Err() != nil {
					return failed
				}
				continue
			}
			c.series.Samples = append(c.series.Samples, sample)
			round[c.name] = sample
		}
		for _, c := range g.cases {
			if s, ok := round[c.name]; ok {
				c.series.compare(s, round[best(c, round)])
			}
		}
	}
	return failed
}

// measure runs a scenario once. A run that is not complete, or that had requests refused, fails.
func (c *scenario) measure(ctx context.Context) (Sample, error) {
	s, err := c.run(ctx)
	switch {
	case err != nil:
		return s, err
	case s.Lost > 0:
		return s, fmt.Errorf("%w: %d of %d", errLost, s.Lost, s.Sent)
	case s.Failed > 0:
		return s, fmt.Errorf("%d of %d requests failed: %s", s.Failed, s.Sent, s.FirstError)
	}
	return s, nil
}

// best is the best of the limits of c in one repetition; "": none.
func best(c *scenario, round map[string]Sample) (found string) {
	for _, name := range c.against {
		x := round[name].Value
		if x > 0 && (found == "" || (c.unit == PerSecond) == (x > round[found].Value)) {
			found = name
		}
	}
	return found
}

func (r *runner) step() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
}

func (r *runner) tell(name string) {
	if r.o.Progress == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var left time.Duration
	for _, d := range r.steps[min(r.done, len(r.steps)):] {
		left += d
	}
	r.o.Progress(Progress{Step: min(r.done+1, len(r.steps)), Steps: len(r.steps), Name: name, Left: left / time.Duration(max(r.o.Parallel, 1))})
}
