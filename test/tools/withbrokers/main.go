// Command withbrokers runs another command beside real brokers, and ends them after it: in its words {kafka} becomes the
// address of an Apache Kafka, set up for throughput, and {mqtt} that of a Mosquitto.
//
//	go run ./test/tools/withbrokers bin/sluice bench --kafka {kafka} --mqtt {mqtt}
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
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
	for _, broker := range []string{"kafka", "mosquitto"} {
		if err := os.Mkdir(filepath.Join(dir, broker), 0o755); err != nil {
			return err
		}
	}
	kafka, err := brokers.NewKafka(ctx, filepath.Join(dir, "kafka"), brokers.KafkaConfig{Throughput: true, HeapMB: 1024})
	if err != nil {
		return err
	}
	defer kafka.Close()
	mosquitto, err := brokers.NewMosquitto(ctx, filepath.Join(dir, "mosquitto"), brokers.MosquittoConfig{Lines: brokers.ForLoad})
	if err != nil {
		return err
	}
	defer mosquitto.Close()
	addrs := strings.NewReplacer("{kafka}", kafka.Addr(), "{mqtt}", mosquitto.Addr())
	for i := range args {
		args[i] = addrs.Replace(args[i])
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.Run()
}
