package brokers

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/test/brokers/netproxy"
	"github.com/sluice-gateway/sluice/test/brokers/ports"
)

// KafkaNode is one node of a Kafka, broker and controller in one process. It has three listeners: the one that
// clients see, one for the other nodes and for this package, which no proxy stands before, and the controller's.
type KafkaNode struct {
	kafka   *Kafka
	id      int
	dir     string
	leases  []*ports.Port
	proxy   *netproxy.Proxy
	process *process // nil unless meant to run
}

const (
	clientPort = iota
	directPort
	controllerPort
	kafkaPorts
)

func newKafkaNode(k *Kafka, id int, dir string) (*KafkaNode, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	leases, err := ports.LeaseN(kafkaPorts)
	if err != nil {
		return nil, err
	}
	n := &KafkaNode{kafka: k, id: id, dir: dir, leases: leases}
	if k.cfg.Proxied {
		if n.proxy, err = netproxy.Listen(n.BrokerAddr()); err != nil {
			n.release()
			return nil, err
		}
	}
	return n, nil
}

// ID is the node.id.
func (n *KafkaNode) ID() int { return n.id }

// Addr is the node's address as clients see it.
func (n *KafkaNode) Addr() string {
	switch {
	case n.proxy != nil:
		return n.proxy.Addr()
	case len(n.kafka.cfg.AdvertisedAddrs) > 0:
		return n.kafka.cfg.AdvertisedAddrs[n.id-1]
	}
	return n.BrokerAddr()
}

// BrokerAddr is where the node itself listens for clients, behind whatever Addr names.
func (n *KafkaNode) BrokerAddr() string { return n.leases[clientPort].Addr() }

// Proxy is what stands in front of the node, nil without KafkaConfig.Proxied.
func (n *KafkaNode) Proxy() *netproxy.Proxy { return n.proxy }

// Running reports whether the node's process lives.
func (n *KafkaNode) Running() bool { return n.process.running() }

// Kill ends the node with SIGKILL and waits until it is gone.
func (n *KafkaNode) Kill() {
	if n.process != nil {
		n.process.kill()
		n.process = nil
	}
}

// Stop shuts the node down in order and waits until it is gone. Without a deadline in ctx it waits stopLimit at most.
func (n *KafkaNode) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if n.process == nil {
		return nil
	}
	defer func() { n.process = nil }()
	return n.process.stop(ctx)
}

// Restart starts the node again, where it is not running, and returns when it serves: it is part of the cluster again
// and in sync.
func (n *KafkaNode) Restart(ctx context.Context) error {
	if err := n.start(); err != nil {
		return err
	}
	return n.kafka.Ready(ctx)
}

func (n *KafkaNode) start() error {
	if n.Running() {
		return nil
	}
	p, err := command{
		name:    fmt.Sprintf("kafka node %d", n.id),
		path:    n.kafka.java,
		args:    append(n.jvmArgs(), "kafka.Kafka", n.propertiesPath()),
		dir:     n.dir,
		logPath: n.logPath(),
	}.start()
	if err != nil {
		return err
	}
	n.process = p
	return nil
}

// release gives back what outlives the process.
func (n *KafkaNode) release() {
	if n.proxy != nil {
		n.proxy.Close()
	}
	for _, l := range n.leases {
		l.Release()
	}
}

func (n *KafkaNode) propertiesPath() string { return filepath.Join(n.dir, "server.properties") }
func (n *KafkaNode) logPath() string        { return filepath.Join(n.dir, "server.log") }

func (n *KafkaNode) jvmArgs() []string {
	cfg := n.kafka.cfg
	args := []string{"-Xmx" + strconv.Itoa(cfg.HeapMB) + "m", "-Djava.awt.headless=true",
		// A log line per configuration value and partition would hide what matters when a test fails.
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-Dorg.slf4j.simpleLogger.log.state.change.logger=warn",
		"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
		"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.utils.AppInfoParser=warn",
	}
	if !cfg.Throughput {
		args = append(args, quickJVM...)
	}
	return append(append(args, cfg.JVMArgs...), "-cp", n.kafka.classpath())
}

// writeProperties configures the node for a small machine: few partitions of internal topics, one replica of them on
// one node, no waiting for members that a test knows will not come.
func (n *KafkaNode) writeProperties() error {
	cfg := n.kafka.cfg
	var voters []string
	for _, peer := range n.kafka.nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", peer.id, peer.leases[controllerPort].Addr()))
	}
	replicas := strconv.Itoa(min(cfg.Nodes, 3))
	inSync := strconv.Itoa(min(cfg.Nodes, 2))
	client, direct, controller := n.BrokerAddr(), n.leases[directPort].Addr(), n.leases[controllerPort].Addr()
	props := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(n.id),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"listeners":                      "CLIENT://" + client + ",DIRECT://" + direct + ",CONTROLLER://" + controller,
		"advertised.listeners":           "CLIENT://" + n.Addr() + ",DIRECT://" + direct,
		"listener.security.protocol.map": "CLIENT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "DIRECT",
		"log.dirs":                       filepath.Join(n.dir, "data"),

		"auto.create.topics.enable":  strconv.FormatBool(!cfg.NoAutoCreate),
		"num.partitions":             strconv.Itoa(cfg.Partitions),
		"default.replication.factor": replicas,
		"min.insync.replicas":        inSync,

		"group.initial.rebalance.delay.ms":                 "0",
		"offsets.topic.num.partitions":                     "4",
		"offsets.topic.replication.factor":                 replicas,
		"transaction.state.log.num.partitions":             "4",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    inSync,
		"share.coordinator.state.topic.num.partitions":     "4",
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            inSync,
		"group.streams.initial.rebalance.delay.ms":         "0",

		// A killed node is known to be gone, and may register again, after 3 s instead of 9.
		"broker.session.timeout.ms":      "3000",
		"broker.heartbeat.interval.ms":   "500",
		"log.cleaner.dedupe.buffer.size": "16777216",
		"num.network.threads":            "2",
		"num.io.threads":                 "4",
		"background.threads":             "2",
	}
	maps.Copy(props, cfg.Properties)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(props)) {
		fmt.Fprintf(&b, "%s=%s\n", key, props[key])
	}
	if err := os.WriteFile(n.propertiesPath(), []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write server.properties: %w", err)
	}
	return nil
}
