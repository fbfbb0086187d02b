// Command fetchkafka puts the Apache Kafka that tests run into the cache, so that no test has to wait for it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/sluice-gateway/sluice/test/brokers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	dir, err := brokers.FetchKafka(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetchkafka:", err)
		os.Exit(1)
	}
	fmt.Printf("Apache Kafka %s is in %s\n", brokers.KafkaVersion, dir)
}
