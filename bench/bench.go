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
	FanOut      []int         `json:"fanOut"`     // clients
	Deliveries  int64         `json:"deliveries"` // of a fan-out that goes as fast as it can
	Idle        int           `json:"idle"`       // connections
	APIs        int           `json:"apis"`       // of the control plane
	Workers     int           `json:"workers"`    // that report
	Aliases     bool          `json:"aliases"`    // types under their other names too, which are the same connectors
	WarmUp      time.Duration `json:"warmUp"`     // of the broker, before anything is measured: its compiler is busy until then
}

// Full is what is measured where nobody says otherwise.
var Full = Settings{Repetitions: 5, Duration: 5 * time.Second, Messages: 200_000, Clients: 64, Size: 1024, Rate: 2000,
	FanOut: []int{1, 100, 1000, 5000}, Deliveries: 1_000_000, Idle: 10_000, APIs: 10_000, Workers: 3, Aliases: true, WarmUp: 15 * time.Second}

// Smoke is everything once and short: for completeness, not for figures.
var Smoke = Settings{Repetitions: 1, Duration: 300 * time.Millisecond, Messages: 5000, Clients: 64, Size: 1024, Rate: 500,
	FanOut: []int{1, 100}, Deliveries: 20_000, Idle: 500, APIs: 100, Workers: 2, WarmUp: time.Second}

// Options is one run.
type Options struct {
	Settings
	Self     string   // this binary
	Kafka    []string // bootstrap addresses
	MQTT     string   // address of the MQTT broker
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
	r := &runner{o: o, dir: dir, result: &Result{Format: Format, At: began.UTC(), Machine: thisMachine(), Settings: o.Settings,
		Brokers: Brokers{Kafka: "given", Partitions: partitions}}}
	if o.Embedded {
		r.result.Brokers.Kafka = "embedded"
	}
	defer r.close()
	groups := selected(r.groups(), only)
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
}

// selected keeps the scenarios that match, and the limits that they are compared with; all where nothing is chosen.
func selected(groups []*group, only *regexp.Regexp) []*group {
	if only.String() == "" {
		return groups
	}
	var out []*group
	for _, g := range groups {
		var wanted []string
		for _, c := range g.cases {
			if !c.limit && only.MatchString(c.name) {
				wanted = append(append(wanted, c.name), c.against...)
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
	kafka  kafkaAdmin
	steps  []time.Duration // guesses of the steps that are left
	done   int
	pid    int // of the broker, 0: not on this machine
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
	var failed error
	for _, g := range groups {
		if err := r.group(ctx, g); err != nil {
			failed = errors.Join(failed, err)
			if ctx.Err() != nil {
				break
			}
		}
	}
	r.tell("done")
	return failed
}

// group measures every case so many times, by turns: in one order and then in the other, so that none is always the first.
func (r *runner) group(ctx context.Context, g *group) error {
	series := map[string]*Series{}
	for _, c := range g.cases {
		s := &Series{Name: c.name, Title: c.title, Group: g.name, Unit: c.unit, Limit: c.limit, Against: c.against}
		series[c.name] = s
		r.result.Series = append(r.result.Series, s)
	}
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
		round := map[string]float64{}
		for _, c := range order {
			r.tell(c.name)
			sample, err := c.run(ctx)
			if err == nil && sample.Lost > 0 {
				err = fmt.Errorf("%w: %d of %d", errLost, sample.Lost, sample.Sent)
			}
			if err == nil && sample.Failed > 0 {
				err = fmt.Errorf("%d of %d requests failed: %s", sample.Failed, sample.Sent, sample.FirstError)
			}
			r.done++
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s, repetition %d: %w", c.name, i+1, err))
				if ctx.Err() != nil {
					return failed
				}
				continue
			}
			series[c.name].Samples = append(series[c.name].Samples, sample)
			round[c.name] = sample.Value
		}
		for _, c := range g.cases {
			if limit := best(c, round); limit > 0 && round[c.name] > 0 {
				series[c.name].Ratios = append(series[c.name].Ratios, round[c.name]/limit)
			}
		}
	}
	return failed
}

// best is the best of the limits of c in one repetition; 0: none.
func best(c *scenario, round map[string]float64) (v float64) {
	for _, name := range c.against {
		x := round[name]
		if x > 0 && (v == 0 || (c.unit == PerSecond) == (x > v)) {
			v = x
		}
	}
	return v
}

func (r *runner) tell(name string) {
	if r.o.Progress == nil {
		return
	}
	var left time.Duration
	for _, d := range r.steps[min(r.done, len(r.steps)):] {
		left += d
	}
	r.o.Progress(Progress{Step: min(r.done+1, len(r.steps)), Steps: len(r.steps), Name: name, Left: left})
}
