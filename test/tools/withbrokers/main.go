// Command withbrokers runs another command beside real brokers, and ends them after it: {kafka} in its words becomes the
// address of an Apache Kafka, set up for throughput.
//
//	go run ./test/tools/withbrokers bin/sluice bench --kafka {kafka}
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sluice-gateway/sluice/test/brokers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fmt.Fprintln(os.Stderr, "withbrokers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say which command to run")
	}
	dir, err := os.MkdirTemp("", "sluice-brokers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kafka, err := brokers.NewKafka(ctx, dir, brokers.KafkaConfig{Throughput: true, HeapMB: 1024})
	if err != nil {
		return err
	}
	defer kafka.Close()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{kafka}", kafka.Addr())
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.Run()
}
