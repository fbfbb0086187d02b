// Command smoke measures the two main scenarios in under three minutes, on a real Apache Kafka: POST -> Kafka answered
// after the broker's acknowledgement, and one SSE client draining a backlog. Beside each stands the plain limit on this
// machine, measured in the same run. A run that lost a message is a failed run.
//
//	go run ./bench/smoke [-duration 5s] [-messages 200000] [-clients 64] [-size 1024] [-o json]
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/bench/limit"
)

// Config is one run.
type Config struct {
	Duration time.Duration // of each POST measurement, after a warm-up of a fifth of it
	Messages int           // in the backlog that is drained
	Clients  int           // connections that POST
	Size     int           // bytes of a message
}

func main() {
	var cfg Config
	flag.DurationVar(&cfg.Duration, "duration", 5*time.Second, "length of each POST measurement")
	flag.IntVar(&cfg.Messages, "messages", 200_000, "messages in the backlog that one SSE client drains")
	flag.IntVar(&cfg.Clients, "clients", 64, "connections that POST")
	flag.IntVar(&cfg.Size, "size", 1024, "bytes of a message")
	output := flag.String("o", "text", "text or json")
	serve := flag.String("serve", "", "internal: serve a plain limit (http, or glue:BROKER:TOPIC) on -listen")
	listen := flag.String("listen", "", "internal: address of -serve")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg, *serve, *listen, *output); err != nil {
		fmt.Fprintln(os.Stderr, "bench-smoke:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cfg Config, serve, listen, output string) error {
	if serve != "" {
		return serveLimit(ctx, serve, listen)
	}
	report, err := Measure(ctx, cfg, os.Stderr)
	if err != nil {
		return err
	}
	if output == "json" {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	report.Print(os.Stdout)
	return nil
}

// serveLimit is what the child processes do: a server in the load generator's own process would share its scheduler and
// be measured too well.
func serveLimit(ctx context.Context, what, listen string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if what == "http" {
		return limit.Serve(ctx, ln)
	}
	// glue:HOST:PORT:TOPIC
	rest := strings.TrimPrefix(what, "glue:")
	at := strings.LastIndexByte(rest, ':')
	return limit.ServeGlued(ctx, ln, []string{rest[:at]}, rest[at+1:])
}
