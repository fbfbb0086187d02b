package main

import (
	"fmt"
	"io"
	"time"

	"github.com/sluice-gateway/sluice/cmd/internal/version"
)

// banner is what `sluice dev` says: where everything is, and what to type next.
type banner struct {
	out                                     io.Writer
	dataDir, gateway, management, tokenFile string
	brokers                                 *devBrokers
}

func (b *banner) top() {
	fmt.Fprintf(b.out, "sluice dev  %s   data %s\n", version.String(), b.dataDir)
	row := func(name, where, what string) { fmt.Fprintf(b.out, "  %-11s %-24s %s\n", name, where, what) }
	broker := func(embedded bool, what, flag string) string {
		if embedded {
			return fmt.Sprintf("%-38s %s HOST:PORT uses yours", what, flag)
		}
		return "yours"
	}
	row("kafka", b.brokers.kafka, broker(b.brokers.embeddedKafka, "embedded (kfake, for development)", "--kafka"))
	row("mqtt", b.brokers.mqtt, broker(b.brokers.embeddedMQTT, "embedded (mochi, for development)", "--mqtt"))
	row("gateway", b.gateway, "")
	row("management", b.management, "token in "+b.tokenFile)
}

// samples tells which samples are there and how to try them.
func (b *banner) samples(deployed []string) {
	if len(deployed) == 0 {
		return
	}
	fmt.Fprintf(b.out, "  %d sample APIs deployed:", len(deployed))
	for i, name := range deployed {
		sep := ","
		if i == 0 {
			sep = ""
		}
		fmt.Fprintf(b.out, "%s %s", sep, name)
	}
	fmt.Fprintf(b.out, "\n\n  try it:   curl -N -H 'Accept: text/event-stream' %s/orders        (in one terminal)\n", b.gateway)
	fmt.Fprintf(b.out, "            curl -d '{\"order\":1}' %s/data/ingestion/kafka             (in another)\n", b.gateway)
}

func (b *banner) bottom(took time.Duration) {
	fmt.Fprintf(b.out, "ready in %.1f s\n", took.Seconds())
}
