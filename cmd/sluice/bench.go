package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/bench"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/cmd/internal/embedded"
	"github.com/sluice-gateway/sluice/cmd/internal/version"
)

type benchFlags struct {
	bench.Settings
	kafka, mqtt, out, html, format, profiles string
	smoke                                    bool
}

func newBench() *cobra.Command {
	f := benchFlags{Settings: bench.Full}
	cmd := &cobra.Command{
		Use: "bench", Args: cobra.NoArgs, Short: "Measure this machine: every scenario beside the plain limit of the libraries",
		Long: "Measure throughput, latency, CPU time, memory and completeness of every combination of entrypoint, endpoint and quality of service, of\n" +
			"fan-out, of idle connections and of the control plane, beside the plain limits of this machine, in repetitions that alternate.\n" +
			"A run that lost a message which was promised fails. All processes that are measured are started by the command, but for the broker.",
		Example: "  sluice bench --kafka 127.0.0.1:9092 --out result.json --html result.html\n" +
			"  sluice bench --only 'http-post|sse/kafka' --repetitions 3\n  sluice bench compare base.json result.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	cmd.AddCommand(newBenchList(), newBenchCompare(), newBenchReport(), newBenchChild(), newBenchBroker("kafka", benchKafka), newBenchBroker("mqtt", benchMQTT))
	return cmd
}

func (f *benchFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.kafka, "kafka", "", "measure on this Kafka, host:port,... (default: an embedded one, which is for development)")
	fl.StringVar(&f.mqtt, "mqtt", "", "measure on this MQTT broker, host:port (default: an embedded one, which is for development)")
	fl.StringVar(&f.Only, "only", f.Only, "regular expression: measure the scenarios that match, and their limits")
	fl.IntVar(&f.Repetitions, "repetitions", f.Repetitions, "how often each is measured")
	fl.DurationVar(&f.Duration, "duration", f.Duration, "length of what is measured by time")
	fl.Int64Var(&f.Messages, "messages", f.Messages, "messages in a backlog that is drained")
	fl.IntVar(&f.Clients, "clients", f.Clients, "connections that post")
	fl.IntVar(&f.Size, "size", f.Size, "bytes of a message")
	fl.Float64Var(&f.Rate, "rate", f.Rate, "messages per second where latency is measured")
	fl.IntSliceVar(&f.FanOut, "fan-out", f.FanOut, "numbers of clients")
	fl.Int64Var(&f.Deliveries, "deliveries", f.Deliveries, "deliveries of a fan-out as fast as it goes")
	fl.IntVar(&f.Idle, "idle", f.Idle, "idle connections")
	fl.IntVar(&f.APIs, "apis", f.APIs, "APIs of the control plane that is measured")
	fl.IntVar(&f.Workers, "workers", f.Workers, "workers that report to it")
	fl.IntVar(&f.Changes, "changes", f.Changes, "changes pushed to them in a repetition")
	fl.BoolVar(&f.HalfLoad, "half-load", f.HalfLoad, "measure the latency of POST to Kafka at half of what the best glue takes, instead of at --rate")
	fl.BoolVar(&f.Aliases, "aliases", f.Aliases, "measure types under their other names (kafka-advanced) too, which are the same connectors")
	fl.DurationVar(&f.WarmUp, "warm-up", f.WarmUp, "how long the broker is kept busy before anything is measured")
	fl.BoolVar(&f.smoke, "smoke", false, "everything once and short: tells whether it is complete, not how fast it is")
	fl.StringVar(&f.out, "out", "", "store the result in this file, for sluice bench compare and report")
	fl.StringVar(&f.html, "html", "", "write a page with plots to this file")
	fl.StringVar(&f.profiles, "profiles", "", "take profiles of the worker into this directory while it is measured; read them with go tool pprof -top")
	fl.StringVarP(&f.format, "output", "o", "text", "text or json")
}

func (f *benchFlags) run(ctx context.Context, out, progress io.Writer) error {
	if f.format != "text" && f.format != "json" {
		return fmt.Errorf("--output: %q is neither text nor json", f.format)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	settings := f.Settings
	if f.smoke {
		settings = bench.Smoke
		settings.Only = f.Only
	}
	if f.profiles != "" {
		if err := os.MkdirAll(f.profiles, 0o755); err != nil {
			return fmt.Errorf("--profiles: %w", err)
		}
	}
	bar, build := newProgress(progress), version.Get()
	if f.smoke && !bar.terminal {
		bar.out = io.Discard // a line per step would hide the few that matter
	}
	o := bench.Options{Settings: settings, Self: self, Profiles: f.profiles, Kafka: fields(f.kafka), MQTT: f.mqtt, Progress: bar.show,
		Build: bench.Build{Commit: build.Commit, Dirty: build.Dirty}}
	stop, err := f.brokers(ctx, &o, progress)
	if err != nil {
		return err
	}
	defer stop()
	result, err := bench.Run(ctx, o)
	bar.end()
	if result != nil {
		err = errors.Join(err, f.tell(out, result))
	}
	return err
}

// brokers starts the embedded ones for those that are not given.
func (f *benchFlags) brokers(ctx context.Context, o *bench.Options, progress io.Writer) (stop func(), err error) {
	stop = func() {}
	for _, kind := range []string{"kafka", "mqtt"} {
		if kind == "kafka" && len(o.Kafka) > 0 || kind == "mqtt" && o.MQTT != "" {
			continue
		}
		addr, end, err := bench.Embedded(ctx, o.Self, kind)
		if err != nil {
			stop()
			return nil, err
		}
		before := stop
		stop = func() { end(); before() }
		if o.Embedded = true; kind == "kafka" {
			o.Kafka = []string{addr}
		} else {
			o.MQTT = addr
		}
		fmt.Fprintf(progress, "no --%s: measuring on the embedded one, which is for development; a real broker has other figures\n", kind)
	}
	return stop, nil
}

// tell writes the result wherever it was asked for, also where the run failed: what was measured says why.
func (f *benchFlags) tell(out io.Writer, r *bench.Result) (err error) {
	if f.out != "" {
		err = r.Write(f.out)
	}
	if f.html != "" {
		err = errors.Join(err, report.WritePage(f.html, r))
	}
	if f.format == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return errors.Join(err, enc.Encode(r))
	}
	if f.smoke {
		report.Smoke(out, r)
	} else {
		report.Text(out, r)
	}
	return err
}

func newBenchList() *cobra.Command {
	return &cobra.Command{Use: "list", Args: cobra.NoArgs, Short: "Name the scenarios", RunE: func(cmd *cobra.Command, _ []string) error {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(bench.List(bench.Full), "\n"))
		return err
	}}
}

func newBenchCompare() *cobra.Command {
	return &cobra.Command{Use: "compare BASE RESULT", Args: cobra.ExactArgs(2), Short: "Compare two results, with a test of significance",
		Long: "Compare two results scenario by scenario: the change of the median, and the probability that chance alone makes such a difference\n" +
			"(Mann-Whitney U, two-sided). Ratios to the limit are compared where there are any, since they cancel what else the machine did.",
		RunE: func(cmd *cobra.Command, args []string) error {
			base, err := bench.Read(args[0])
			if err != nil {
				return err
			}
			result, err := bench.Read(args[1])
			if err != nil {
				return err
			}
			report.Compare(cmd.OutOrStdout(), base, result)
			return nil
		}}
}

func newBenchReport() *cobra.Command {
	var html string
	cmd := &cobra.Command{Use: "report RESULT", Args: cobra.ExactArgs(1), Short: "Show a stored result", RunE: func(cmd *cobra.Command, args []string) error {
		r, err := bench.Read(args[0])
		if err != nil {
			return err
		}
		if html != "" {
			return report.WritePage(html, r)
		}
		report.Text(cmd.OutOrStdout(), r)
		return nil
	}}
	cmd.Flags().StringVar(&html, "html", "", "write a page with plots to this file")
	return cmd
}

func newBenchChild() *cobra.Command {
	return &cobra.Command{Use: "child", Hidden: true, Args: cobra.NoArgs, Short: "Do a job that sluice bench gives on standard input",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.Child(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		}}
}

// newBenchBroker runs an embedded broker for sluice bench, in a process of its own, until standard input ends.
func newBenchBroker(kind string, start func(dir string) (addr string, serve func(context.Context) error, err error)) *cobra.Command {
	return &cobra.Command{Use: kind + " DIR", Hidden: true, Args: cobra.ExactArgs(1), Short: "Run the embedded " + kind + " broker until standard input ends",
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, serve, err := start(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), addr)
			ctx, cancel := context.WithCancel(cmd.Context())
			go func() { _, _ = io.Copy(io.Discard, cmd.InOrStdin()); cancel() }() // ends with standard input, which is the process's own
			return serve(ctx)
		}}
}

func benchKafka(dir string) (string, func(context.Context) error, error) {
	k, err := embedded.NewKafka(dir)
	if err != nil {
		return "", nil, err
	}
	return k.Addr(), k.Run, nil
}

func benchMQTT(string) (string, func(context.Context) error, error) {
	m, err := embedded.NewMQTT(slog.New(slog.DiscardHandler))
	if err != nil {
		return "", nil, err
	}
	return m.Addr(), m.Run, nil
}
