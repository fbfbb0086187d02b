//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/test/brokers"
)

// many is how many messages go each way where count and order are checked.
const many = 100_000

// TestKafka_SeedPostReadBackByOthers posts through the seed's definition and reads the topic with the two other client
// implementations: librdkafka (kcat) and the Java console consumer.
func TestKafka_SeedPostReadBackByOthers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	kafka := brokers.StartKafka(t, brokers.KafkaConfig{})
	dev := startDev(t, "--kafka", kafka.Addr(), "--no-samples")
	seed, err := os.ReadFile("../../proto/apidef/testdata/seeds/data-ingestion.json")
	if err != nil {
		t.Fatal(err)
	}
	deploy(t, dev, seed)
	for i := range 10 {
		status, body, err := post(ctx, dev.Gateway+"/data/ingestion/kafka", fmt.Sprintf("hello %d", i))
		if err != nil || status != http.StatusAccepted || body != "" {
			t.Fatalf("POST answered %d %q, %v; want 202 and nothing", status, body, err)
		}
	}
	want := map[string]bool{}
	for i := range 10 {
		want[fmt.Sprintf("hello %d", i)] = true
	}
	for name, read := range map[string]func() (string, error){
		"kcat": func() (string, error) {
			out, err := exec.CommandContext(ctx, brokers.Tool(t, "kcat"), "-b", kafka.Addr(), "-t", "demo", "-C", "-e", "-q").CombinedOutput()
			return string(out), err
		},
		"java": func() (string, error) {
			return kafka.ConsoleConsumer(ctx, "--topic", "demo", "--from-beginning", "--max-messages", "10", "--timeout-ms", "30000")
		},
	} {
		out, err := read()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
			continue
		}
		for w := range want {
			if !strings.Contains(out, w+"\n") {
				t.Errorf("%s did not read %q; it read %q", name, w, out)
			}
		}
	}
}

// TestKafka_PostManyKeepsCount posts from many connections; every 202 is one record, no more where nothing failed.
func TestKafka_PostManyKeepsCount(t *testing.T) {
	ctx := t.Context()
	kafka := sharedKafka(t)
	dev := sharedDev(t)
	topic := kafka.Topic(t, 6)
	deploy(t, dev, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic, entrypoint("http-post", "AUTO", nil)))
	const clients = 32
	var wg sync.WaitGroup
	for c := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range many / clients {
				status, body, err := post(ctx, dev.Gateway+"/"+topic, strconv.Itoa(c)+" "+strconv.Itoa(i))
				if err != nil || status != http.StatusAccepted {
					t.Errorf("client %d message %d: %d %s %v", c, i, status, body, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	seen := map[string]int{}
	last := map[string]int{} // by client and partition: one client's messages keep their order in a partition
	for _, r := range readAll(t, kafka, topic, many) {
		seen[string(r.Value)]++
		client, number, _ := strings.Cut(string(r.Value), " ")
		n, _ := strconv.Atoi(number)
		key := client + "@" + strconv.Itoa(int(r.Partition))
		if before, ok := last[key]; ok && n < before {
			t.Fatalf("client %s: %d after %d in partition %d", client, n, before, r.Partition)
		}
		last[key] = n
	}
	if len(seen) != many {
		t.Fatalf("%d distinct messages stored, want %d", len(seen), many)
	}
	for v, n := range seen {
		if n != 1 {
			t.Fatalf("%q stored %d times", v, n)
		}
	}
}

// TestKafka_SSEManyInOrder drains 100,000 messages over 6 partitions: all, once, in the order of each partition, and a
// reconnection with the last id goes on exactly behind it.
func TestKafka_SSEManyInOrder(t *testing.T) {
	ctx := t.Context()
	kafka, dev := sharedKafka(t), sharedDev(t)
	topic := kafka.Topic(t, 6)
	deploy(t, dev, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic,
		entrypoint("sse", "AUTO", object{"metadataAsComment": true})))
	produce(t, kafka, topic, many)
	order := newOrder(t)
	from := dev.Gateway + "/" + topic + "?from=earliest"
	s := openSSE(ctx, t, from)
	for i := range many {
		e, err := s.nextMessage()
		if err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
		order.add(e.data)
		if i == many/2 { // half way: leave, come back with the id of the last message
			s.body.Close()
			s = openSSE(ctx, t, dev.Gateway+"/"+topic, "Last-Event-ID", e.id)
		}
	}
	order.complete(many)
}

// TestKafka_GetPages pages through a topic in the three formats.
func TestKafka_GetPages(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	kafka, dev := sharedKafka(t), sharedDev(t)
	topic := kafka.Topic(t, 1)
	deploy(t, dev, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic,
		entrypoint("http-get", "AUTO", object{"messagesLimitCount": 500, "messagesLimitDurationMs": 1000, "headersInPayload": true, "metadataInPayload": true})))
	produce(t, kafka, topic, 1200)
	t.Run("json", func(t *testing.T) {
		cursor, got := "earliest", 0
		for page := 0; got < 1200 && page < 20; page++ {
			status, body, err := get(ctx, dev.Gateway+"/"+topic+"?cursor="+urlEscape(cursor), "Accept", "application/json")
			if err != nil || status != http.StatusOK {
				t.Fatalf("page %d: %d %s %v", page, status, body, err)
			}
			var p struct {
				Items []struct {
					ID, Content string
					Metadata    map[string]any
				}
				Pagination struct{ NextCursor string }
			}
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatalf("page %d is not JSON: %v\n%.300s", page, err, body)
			}
			for i, item := range p.Items {
				if want := fmt.Sprintf("0 %d", got+i); item.Content != want || item.Metadata["offset"] != float64(got+i) {
					t.Fatalf("item %d is %q at %v, want %q", got+i, item.Content, item.Metadata, want)
				}
			}
			got += len(p.Items)
			cursor = p.Pagination.NextCursor
		}
		if got != 1200 {
			t.Errorf("%d messages in all pages, want 1200", got)
		}
	})
	t.Run("xml", func(t *testing.T) {
		status, body, err := get(ctx, dev.Gateway+"/"+topic+"?cursor=earliest&limit=3", "Accept", "application/xml")
		if err != nil || status != http.StatusOK {
			t.Fatal(status, body, err)
		}
		var p struct {
			Items []struct {
				Content string `xml:"content"`
			} `xml:"items>item"`
		}
		if err := xml.Unmarshal([]byte(body), &p); err != nil || len(p.Items) != 3 || p.Items[2].Content != "0 2" {
			t.Errorf("%+v %v\n%s", p, err, body)
		}
	})
	t.Run("text", func(t *testing.T) {
		status, body, err := get(ctx, dev.Gateway+"/"+topic+"?cursor=earliest&limit=2", "Accept", "text/plain")
		if err != nil || status != http.StatusOK || !strings.HasPrefix(body, "items\n\nitem\nid: ") || strings.Count(body, "content: 0 ") != 2 {
			t.Errorf("%d %v\n%s", status, err, body)
		}
	})
}

// TestKafka_WebSocketBothWays sends 100,000 frames in over one socket and reads them back over another.
func TestKafka_WebSocketBothWays(t *testing.T) {
	kafka, dev := sharedKafka(t), sharedDev(t)
	topic := kafka.Topic(t, 1)
	deploy(t, dev, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic, entrypoint("websocket", "AUTO",
		object{"publisher": object{"enabled": true}, "subscriber": object{"enabled": true}})))
	url := "ws" + strings.TrimPrefix(dev.Gateway, "http") + "/" + topic
	reader, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	writer, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	go func() { // drains what the writer's own subscription sends, until the socket is closed
		for {
			if _, _, err := writer.NextReader(); err != nil {
				return
			}
		}
	}()
	sent := make(chan error, 1)
	go func() {
		for i := range many {
			if err := writer.WriteMessage(websocket.TextMessage, []byte(strconv.Itoa(i))); err != nil {
				sent <- fmt.Errorf("frame %d: %w", i, err)
				return
			}
		}
		sent <- nil
	}()
	reader.SetReadDeadline(time.Now().Add(2 * time.Minute))
	for i := range many {
		_, frame, err := reader.ReadMessage()
		if err != nil {
			t.Fatalf("frame %d: %v (sender: %v)", i, err, tryRecv(sent))
		}
		if string(frame) != strconv.Itoa(i) {
			t.Fatalf("frame %d holds %q", i, frame)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func tryRecv(ch chan error) error {
	select {
	case err := <-ch:
		return err
	default:
		return nil
	}
}

// readAll reads n records of topic from the start with a client of its own.
func readAll(t *testing.T, kafka *brokers.Kafka, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Addr()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s: %d of %d records: %v", topic, len(out), n, err)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}
