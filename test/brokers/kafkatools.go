package brokers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// readyTopic is what Ready writes to. It has one partition per node.
const readyTopic = "__sluice_test_ready"

// consoleConsumer prints records, as bin/kafka-console-consumer.sh does.
const consoleConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"

// quickJVM lets a JVM that lives for seconds start quickly and leave the cores alone.
var quickJVM = []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}

func (k *Kafka) classpath() string { return filepath.Join(k.jars, "*") }

// JavaTool prepares a class of Kafka's jars to be run, for instance org.apache.kafka.tools.TopicCommand, which is what
// bin/kafka-topics.sh calls. It is killed when ctx ends or the test binary dies. Its standard error carries the log of
// the Java client at level warn.
func (k *Kafka) JavaTool(ctx context.Context, class string, args ...string) *exec.Cmd {
	jvm := append([]string{"-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}, quickJVM...)
	cmd := exec.CommandContext(ctx, k.java, append(append(jvm, "-cp", k.classpath(), class), args...)...)
	cmd.SysProcAttr = childAttr()
	return cmd
}

// ConsoleConsumer runs Kafka's Java console consumer against the advertised addresses to its end and returns what it
// printed: one line per record. Give it --topic, --from-beginning and an end: --max-messages, --timeout-ms.
func (k *Kafka) ConsoleConsumer(ctx context.Context, args ...string) (string, error) {
	var stdout, stderr strings.Builder
	cmd := k.JavaTool(ctx, consoleConsumer, append([]string{"--bootstrap-server", k.Addr()}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("console consumer: %w\n%s", err, stderr.String())
	}
	return stdout.String(), nil
}

// CreateTopic creates a topic, replicated to three nodes where there are so many, and returns when every partition
// has a leader.
func (k *Kafka) CreateTopic(ctx context.Context, name string, partitions int) error {
	return k.CreateTopicWith(ctx, name, partitions, nil)
}

// CreateTopicWith is CreateTopic with configuration of the topic, such as cleanup.policy.
func (k *Kafka) CreateTopicWith(ctx context.Context, name string, partitions int, config map[string]string) error {
	client, err := k.directClient()
	if err != nil {
		return err
	}
	defer client.Close()
	values := map[string]*string{}
	for key, value := range config {
		values[key] = &value
	}
	if _, err := kadm.NewClient(client).CreateTopic(ctx, int32(partitions), -1, values, name); err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	return await(ctx, "topic "+name, k.processes(), func(ctx context.Context) error {
		meta, err := metadata(ctx, client, name)
		if err != nil {
			return err
		}
		if n := len(meta.Topics[0].Partitions); n != partitions {
			return errors.Join(fmt.Errorf("%d of %d partitions are known", n, partitions), topicErr(meta))
		}
		return topicErr(meta)
	})
}

// Topic creates a topic whose name is the test's and unique, so that tests can share a Kafka.
func (k *Kafka) Topic(t testing.TB, partitions int) string {
	t.Helper()
	name := strings.Trim(notInTopics.ReplaceAllString(t.Name(), "-"), "-")
	name = fmt.Sprintf("%.200s-%s", name, strings.ToLower(rand.Text()[:8]))
	if err := k.CreateTopic(t.Context(), name, partitions); err != nil {
		t.Fatal(err)
	}
	return name
}

var notInTopics = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// scramIterations is the least that Kafka takes.
const scramIterations = 4096

// SCRAMUser gives a user a password for both SCRAM mechanisms.
func (k *Kafka) SCRAMUser(t testing.TB, user, password string) {
	t.Helper()
	client, err := k.directClient()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} { // a request each: Kafka wants it so
		altered, err := kadm.NewClient(client).AlterUserSCRAMs(t.Context(), nil,
			[]kadm.UpsertSCRAM{{User: user, Mechanism: mechanism, Iterations: scramIterations, Password: password}})
		if err == nil {
			err = altered.Error()
		}
		if err != nil {
			t.Fatalf("make user %s: %v", user, err)
		}
	}
}

// Ready returns when every running node serves: all are known, and each takes a record that all of them store.
func (k *Kafka) Ready(ctx context.Context) error {
	client, err := k.directClient()
	if err != nil {
		return err
	}
	defer client.Close()
	return await(ctx, "kafka", k.processes(), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		return k.serves(ctx, client)
	})
}

// serves asks once.
func (k *Kafka) serves(ctx context.Context, client *kgo.Client) error {
	meta, err := metadata(ctx, client, readyTopic)
	if err != nil {
		return err
	}
	if running := len(k.processes()); len(meta.Brokers) != running {
		return fmt.Errorf("%d of %d nodes are known", len(meta.Brokers), running)
	}
	err = topicErr(meta)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if _, err := kadm.NewClient(client).CreateTopic(ctx, int32(k.cfg.Nodes), -1, nil, readyTopic); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	for _, p := range meta.Topics[0].Partitions {
		for _, replica := range p.Replicas {
			if k.nodes[replica-1].Running() && !slices.Contains(p.ISR, replica) {
				return fmt.Errorf("node %d is not in sync", replica)
			}
		}
	}
	var records []*kgo.Record
	for p := range k.cfg.Nodes {
		records = append(records, &kgo.Record{Topic: readyTopic, Partition: int32(p), Value: []byte("ready")})
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

// metadata asks a broker about one topic. The methods of kadm answer out of the client's cache, in which the number of
// brokers stays as it was first seen (kadm v1.19).
func metadata(ctx context.Context, client *kgo.Client, topic string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	req.Topics = append(req.Topics, asked)
	meta, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	if len(meta.Topics) != 1 {
		return nil, fmt.Errorf("metadata of %d topics, asked for one", len(meta.Topics))
	}
	return meta, nil
}

// topicErr is what stands between the topic that was asked about and its use, such as a missing leader.
func topicErr(meta *kmsg.MetadataResponse) error {
	if err := kerr.ErrorForCode(meta.Topics[0].ErrorCode); err != nil {
		return err
	}
	for _, p := range meta.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return err
		}
	}
	return nil
}

// directClient passes by the proxies.
func (k *Kafka) directClient() (*kgo.Client, error) {
	var seeds []string
	for _, n := range k.nodes {
		seeds = append(seeds, n.leases[directPort].Addr())
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(pollEvery), kgo.RetryBackoffFn(func(int) time.Duration { return pollEvery }))
	if err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	return client, nil
}

// processes are those of the nodes that are meant to run.
func (k *Kafka) processes() []*process {
	var running []*process
	for _, n := range k.nodes {
		if n.process != nil {
			running = append(running, n.process)
		}
	}
	return running
}

// format gives every node the storage of one new cluster.
func (k *Kafka) format(ctx context.Context) error {
	var id [16]byte
	_, _ = rand.Read(id[:])
	cluster := base64.RawURLEncoding.EncodeToString(id[:])
	for _, n := range k.nodes {
		// One argument: an id may begin with a dash.
		cmd := k.JavaTool(ctx, "kafka.tools.StorageTool", "format", "--cluster-id="+cluster, "-c", n.propertiesPath())
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("format the storage of node %d: %w\n%s", n.id, err, out)
		}
		if _, err := os.Stat(filepath.Join(n.dir, "data", "meta.properties")); err != nil {
			return fmt.Errorf("format the storage of node %d: %w", n.id, err)
		}
	}
	return nil
}
