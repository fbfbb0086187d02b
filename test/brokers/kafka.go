package brokers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/brokers/netproxy"
)

// KafkaConfig says what Kafka a test wants. The zero value is one node that creates topics at first use.
type KafkaConfig struct {
	Nodes        int  // combined brokers and controllers; 0: 1
	Partitions   int  // of topics created without a number; 0: 1
	NoAutoCreate bool // auto.create.topics.enable=false
	HeapMB       int  // -Xmx of each node, in MiB; 0: 512
	// Throughput runs the JVM with all its compilers and its default collector, for benchmarks. Without it nodes start
	// in two thirds of the time and spend less of the CPU that they share with the tests.
	Throughput bool
	// Proxied puts a netproxy.Proxy in front of each node, which is then what the node advertises and what Addr tells.
	Proxied bool
	// AdvertisedAddrs are the host:port that the nodes advertise instead of their own, one per node.
	AdvertisedAddrs []string
	// Properties are server properties that are added to ours, or replace them.
	Properties map[string]string
	JVMArgs    []string
}

// Kafka is a running Apache Kafka of one or more nodes.
type Kafka struct {
	cfg   KafkaConfig
	jars  string
	java  string
	nodes []*KafkaNode
}

// StartKafka starts a Kafka that ends with the test.
func StartKafka(t testing.TB, cfg KafkaConfig) *Kafka {
	t.Helper()
	k, err := NewKafka(t.Context(), t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Close()
		if t.Failed() {
			t.Log(k.LogTail())
		}
	})
	return k
}

// NewKafka starts a Kafka with its data in dir, which must be empty and is left behind. It returns when the Kafka
// serves. Close ends it.
func NewKafka(ctx context.Context, dir string, cfg KafkaConfig) (*Kafka, error) {
	cfg.Nodes = max(cfg.Nodes, 1)
	cfg.Partitions = max(cfg.Partitions, 1)
	if cfg.HeapMB == 0 {
		cfg.HeapMB = 512
	}
	if n := len(cfg.AdvertisedAddrs); n != 0 && (n != cfg.Nodes || cfg.Proxied) {
		return nil, fmt.Errorf("start kafka: %d advertised addresses for %d nodes, proxied %t", n, cfg.Nodes, cfg.Proxied)
	}
	jars, err := FetchKafka(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	java, err := lookTool("java")
	if err != nil {
		return nil, err
	}
	k := &Kafka{cfg: cfg, jars: jars, java: java}
	if err := k.firstStart(ctx, dir); err != nil {
		k.Close()
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	return k, nil
}

func (k *Kafka) firstStart(ctx context.Context, dir string) error {
	if err := k.layOut(dir); err != nil {
		return err
	}
	if err := k.format(ctx); err != nil {
		return err
	}
	return k.Restart(ctx)
}

// layOut leases the ports of all nodes and writes their configuration.
func (k *Kafka) layOut(dir string) error {
	for id := 1; id <= k.cfg.Nodes; id++ {
		n, err := newKafkaNode(k, id, filepath.Join(dir, fmt.Sprintf("node-%d", id)))
		if err != nil {
			return err
		}
		k.nodes = append(k.nodes, n)
	}
	for _, n := range k.nodes {
		if err := n.writeProperties(); err != nil {
			return err
		}
	}
	return nil
}

// Addr is the bootstrap address, host:port, of all nodes joined by commas.
func (k *Kafka) Addr() string { return strings.Join(k.Addrs(), ",") }

// Addrs are the addresses of the nodes as clients see them: the advertised ones.
func (k *Kafka) Addrs() []string {
	var addrs []string
	for _, n := range k.nodes {
		addrs = append(addrs, n.Addr())
	}
	return addrs
}

// Nodes are the nodes in the order of their ids, which count from 1.
func (k *Kafka) Nodes() []*KafkaNode { return k.nodes }

// Proxy is what stands in front of the first node of a Kafka with Proxied.
func (k *Kafka) Proxy() *netproxy.Proxy { return k.nodes[0].Proxy() }

// Kill ends all nodes with SIGKILL and waits until they are gone.
func (k *Kafka) Kill() {
	for _, n := range k.nodes {
		n.Kill()
	}
}

// Stop shuts all nodes down in order and waits until they are gone.
func (k *Kafka) Stop(ctx context.Context) error {
	errs := make(chan error, len(k.nodes))
	for _, n := range k.nodes {
		go func() { errs <- n.Stop(ctx) }()
	}
	var err error
	for range k.nodes {
		err = errors.Join(err, <-errs)
	}
	return err
}

// Restart starts the nodes that are not running, on the ports and the data that they had, and returns when all serve.
func (k *Kafka) Restart(ctx context.Context) error {
	for _, n := range k.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	return k.Ready(ctx)
}

// Close kills the nodes and gives their ports back. The data stays.
func (k *Kafka) Close() {
	k.Kill()
	for _, n := range k.nodes {
		n.release()
	}
}

// LogTail is the end of every node's log.
func (k *Kafka) LogTail() string {
	var b strings.Builder
	for _, n := range k.nodes {
		fmt.Fprintln(&b, tail(n.logPath()))
	}
	return b.String()
}
