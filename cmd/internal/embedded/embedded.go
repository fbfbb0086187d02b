// Package embedded holds the brokers that `sluice dev` brings along, so that the first minute needs nothing installed: a
// Kafka that persists to the data directory (franz-go's kfake) and an MQTT 5 broker (mochi-mqtt). Both are for
// development only: one node, loopback, no authentication, and the MQTT broker keeps nothing over a restart.
package embedded

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Default ports, the ones that users of these brokers know.
const (
	KafkaPort = 9092
	MQTTPort  = 1883
)

// partitions of a topic that is created by using it.
const partitions = 3

// Kafka is the embedded Kafka.
type Kafka struct {
	cluster *kfake.Cluster
	addr    string
}

// NewKafka starts the embedded Kafka on loopback: on KafkaPort, or on a free port where that one is taken. Its records
// live in dir and survive a restart.
func NewKafka(dir string) (*Kafka, error) {
	ln, err := listen(KafkaPort)
	if err != nil {
		return nil, fmt.Errorf("embedded kafka: %w", err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.Ports(port),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return ln, nil }),
		kfake.DataDir(dir),
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(partitions),
	)
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("embedded kafka in %s: %w", dir, err)
	}
	return &Kafka{cluster: cluster, addr: ln.Addr().String()}, nil
}

// Addr is the bootstrap address.
func (k *Kafka) Addr() string { return k.addr }

// Run keeps the broker up until ctx ends, then writes its state out.
func (k *Kafka) Run(ctx context.Context) error {
	<-ctx.Done()
	k.cluster.Close()
	return nil
}

// listen takes port on loopback, or any free one.
func listen(port int) (net.Listener, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		return ln, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}
