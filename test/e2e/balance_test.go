//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/test/brokers"
)

// twoClusters are two Kafka clusters that know nothing of each other, with one topic each of the same name.
func twoClusters(t *testing.T) (a, b *brokers.Kafka, topic string) {
	t.Helper()
	a, b = brokers.StartKafka(t, brokers.KafkaConfig{}), brokers.StartKafka(t, brokers.KafkaConfig{})
	topic = a.Topic(t, 1)
	if err := b.CreateTopic(t.Context(), topic, 1); err != nil {
		t.Fatal(err)
	}
	return a, b, topic
}

// balanced is an API over both clusters.
func balanced(t *testing.T, path, topic string, endpoints ...object) []byte {
	t.Helper()
	for _, e := range endpoints {
		e["type"], e["inheritConfiguration"] = "kafka", true
	}
	return encode(t, object{
		"name": t.Name() + path, "apiVersion": "1.0", "definitionVersion": "V4", "type": "MESSAGE",
		"listeners": []object{{"type": "HTTP", "paths": []object{{"path": path}},
			"entrypoints": []object{entrypoint("http-post", "AUTO", nil), entrypoint("sse", "AUTO", nil)}}},
		"endpointGroups": []object{{"name": "kafka", "type": "kafka", "loadBalancer": object{"type": "ROUND_ROBIN"},
			"sharedConfiguration": object{
				"consumer": object{"enabled": true, "topics": []string{topic}, "autoOffsetReset": "latest"},
				"producer": object{"enabled": true, "topics": []string{topic}},
			}, "endpoints": endpoints}},
		"plans": []object{keyless},
	})
}

func at(kafka *brokers.Kafka, name string, secondary bool) object {
	return object{"name": name, "secondary": secondary, "configuration": object{"bootstrapServers": kafka.Addr()}}
}

// stored is how many records a topic of one partition holds.
func stored(t *testing.T, kafka *brokers.Kafka, topic string) int64 {
	t.Helper()
	ends, err := kafka.EndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return ends[0]
}

// TestBalance_TwoClusters: publishers are spread; when one cluster goes, they go to the other, whether it is an equal or a
// secondary one, and when it is back they come back.
func TestBalance_TwoClusters(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	a, b, topic := twoClusters(t)
	dev := startDev(t, "--no-samples", "--produce-timeout", "2s")
	deploy(t, dev, balanced(t, "/equal", topic, at(a, "a", false), at(b, "b", false)))
	deploy(t, dev, balanced(t, "/spare", topic, at(a, "first", false), at(b, "spare", true)))

	all := func(path string, n int) (refused int) {
		for i := range n {
			status, body, err := post(ctx, dev.Gateway+path, fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			if status == http.StatusAccepted {
				continue
			}
			if refused++; status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout {
				t.Errorf("POST %s: %d %s", path, status, body)
			}
		}
		return refused
	}
	if n := all("/equal", 20); n > 0 || stored(t, a, topic) != 10 || stored(t, b, topic) != 10 {
		t.Fatalf("%d refused, %d and %d stored, want 10 each", n, stored(t, a, topic), stored(t, b, topic))
	}
	if n := all("/spare", 10); n > 0 || stored(t, a, topic) != 20 || stored(t, b, topic) != 10 {
		t.Fatalf("%d refused, %d and %d stored: the secondary was used", n, stored(t, a, topic), stored(t, b, topic))
	}

	a.Kill()
	// Per API one finds out. While a tries again, once in a while another does: 2 s, 4 s and so on later.
	for _, path := range []string{"/equal", "/spare"} {
		before := stored(t, b, topic)
		refused := all(path, 50)
		if got := stored(t, b, topic) - before; refused > 5 || got != int64(50-refused) {
			t.Errorf("%s without its cluster: %d of 50 refused, %d stored in the other", path, refused, got)
		}
	}

	if err := a.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/equal", "/spare"} {
		before := stored(t, a, topic)
		for stored(t, a, topic) == before {
			if ctx.Err() != nil {
				t.Fatalf("%s never came back to its cluster", path)
			}
			all(path, 2)
		}
	}
}

// TestBalance_AClientComesBackToItsCluster: a stream that is resumed by its cursor, again and again, goes on where it was,
// though the other cluster has messages under the same positions.
func TestBalance_AClientComesBackToItsCluster(t *testing.T) {
	a, b, topic := twoClusters(t)
	dev := startDev(t, "--no-samples")
	deploy(t, dev, balanced(t, "/streams", topic, at(a, "a", false), at(b, "b", false)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	first := openSSE(ctx, t, dev.Gateway+"/streams", "X-Gravitee-Client-Identifier", "resumes")
	const n = 40
	for name, kafka := range map[string]*brokers.Kafka{"a": a, "b": b} {
		client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Addr()), kgo.DefaultProduceTopic(topic))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for i := range n {
			if err := client.ProduceSync(ctx, kgo.StringRecord(fmt.Sprintf("%s %d", name, i))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := newOrder(t)
	stream, last := first, ""
	for range 4 {
		for range n / 4 {
			e, err := stream.nextMessage()
			if err != nil {
				t.Fatal(err)
			}
			read.add(e.data)
			last = e.id
		}
		stream.body.Close()
		stream = openSSE(ctx, t, dev.Gateway+"/streams", "X-Gravitee-Client-Identifier", "resumes", "Last-Event-ID", last)
	}
	if read.complete(n); len(read.next) != 1 {
		t.Errorf("it was sent to more than one cluster: %v", read.next)
	}
}
