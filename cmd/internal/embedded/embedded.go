// Package embedded holds the brokers that `sluice dev` brings along, so that the first minute needs nothing installed: a
// Kafka that persists to the data directory (franz-go's kfake) and an MQTT 5 broker (mochi-mqtt). Both are for
// development only: one node, loopback, no authentication, and the MQTT broker keeps nothing over a restart.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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
	admin   *kgo.Client
	known   sync.Map // names of topics that are on disk
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
		kfake.SyncWrites(), // what was answered with 202 outlives a kill
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(partitions),
	)
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("embedded kafka in %s: %w", dir, err)
	}
	k := &Kafka{cluster: cluster, addr: ln.Addr().String()}
	if k.admin, err = kgo.NewClient(kgo.SeedBrokers(k.addr)); err != nil {
		cluster.Close()
		return nil, fmt.Errorf("embedded kafka: %w", err)
	}
	cluster.ControlKey(kmsg.NewPtrMetadataRequest().Key(), k.keepTopics)
	cluster.ControlKey(kmsg.NewPtrDeleteTopicsRequest().Key(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		k.known.Clear()
		return nil, nil, false
	})
	return k, nil
}

// keepTopics makes the topics that a request for metadata would make. kfake writes only those to disk that were asked
// for by CreateTopics, and after a kill it would forget the others with all that was acknowledged in them.
func (k *Kafka) keepTopics(req kmsg.Request) (kmsg.Response, error, bool) {
	k.cluster.KeepControl()
	asked := req.(*kmsg.MetadataRequest)
	if !asked.AllowAutoTopicCreation {
		return nil, nil, false
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	for _, t := range asked.Topics {
		if t.Topic == nil {
			continue
		}
		if _, known := k.known.Load(*t.Topic); !known {
			one := kmsg.NewCreateTopicsRequestTopic()
			one.Topic, one.NumPartitions, one.ReplicationFactor = *t.Topic, partitions, 1
			create.Topics = append(create.Topics, one)
		}
	}
	if len(create.Topics) > 0 {
		k.cluster.SleepControl(func() { k.create(create) })
	}
	return nil, nil, false
}

func (k *Kafka) create(req *kmsg.CreateTopicsRequest) {
	ctx, cancel := context.WithTimeout(context.Background(), createTimeout)
	defer cancel()
	resp, err := req.RequestWith(ctx, k.admin)
	if err != nil {
		return // the request for metadata makes them, as it would without us
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			k.known.Store(t.Topic, struct{}{})
		}
	}
}

// createTimeout bounds how long a client waits for a topic to be made.
const createTimeout = 5 * time.Second

// Addr is the bootstrap address.
func (k *Kafka) Addr() string { return k.addr }

// Run keeps the broker up until ctx ends, then writes its state out.
func (k *Kafka) Run(ctx context.Context) error {
	<-ctx.Done()
	k.admin.Close()
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
