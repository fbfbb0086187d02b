//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// posted is what http-post tells of the messages of one request.
type posted struct {
	Stored, Refused, Unknown int
	Messages                 []struct {
		Index     int
		Result    string
		Topic     string
		Partition int32
		Offset    int64
		Status    int
		Message   string
	}
}

// send posts and returns the answer with its headers.
func send(t *testing.T, url, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer), res.Header
}

// TestPost_BatchLiesWhereItSays posts batches in all forms; every message is where the answer says, as it was given.
func TestPost_BatchLiesWhereItSays(t *testing.T) {
	kafka, dev := sharedKafka(t), sharedDev(t)
	topic, other := kafka.Topic(t, 3), kafka.Topic(t, 1)
	deploy(t, dev, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic, entrypoint("http-post", "AUTO", object{"batchTopics": []string{other}})))
	want := map[string]string{} // by topic, partition and offset
	n := 0
	batch := func(contentType, body string, described ...string) {
		status, answer, header := send(t, dev.Gateway+"/"+topic, body, "Content-Type", contentType, "Prefer", "return=representation")
		var p posted
		if err := json.Unmarshal([]byte(answer), &p); err != nil || status != http.StatusAccepted || p.Stored != len(described) ||
			len(p.Messages) != len(described) || header.Get("Preference-Applied") != "return=representation" {
			t.Fatalf("%d %s %v, %v", status, answer, header, err)
		}
		for i, m := range p.Messages {
			want[fmt.Sprint(m.Topic, "@", m.Partition, "#", m.Offset)] = described[i]
			n++
		}
	}
	var lines []string
	var wanted []string
	for i := range 500 {
		line := fmt.Sprintf(`{"number":%d}`, i)
		lines, wanted = append(lines, line), append(wanted, "="+line)
	}
	batch("application/x-ndjson", strings.Join(lines, "\n"), wanted...)
	batch("application/vnd.sluice.batch+json", `[{"key":"k","content":"text"},{"key":"k","content":null},{"contentBase64":"AP8=","headers":{"h":["1","2"]}},
		{"content":"","key":"e"}]`, "k=text", "k=nothing", "=\x00\xff h:1 h:2", "e=")
	batch("application/vnd.sluice.batch+ndjson", `{"content":{"a":[1]},"topic":"`+other+`"}`, `={"a":[1]}`)
	batch("application/json", `[1,2]`, `=[1,2]`)

	got := map[string]string{}
	for _, from := range []struct {
		topic string
		n     int
	}{{topic, n - 1}, {other, 1}} {
		for _, r := range readAll(t, kafka, from.topic, from.n) {
			text := string(r.Key) + "=" + string(r.Value)
			if r.Value == nil {
				text += "nothing"
			}
			for _, h := range r.Headers {
				text += " " + h.Key + ":" + string(h.Value)
			}
			got[fmt.Sprint(r.Topic, "@", r.Partition, "#", r.Offset)] = text
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-told +stored):\n%s", diff)
	}
}

// TestPost_PartOfABatchIsRefused sends one message that is larger than the topic takes: the others are stored, no plain 2xx
// says otherwise, and the refused one is named.
func TestPost_PartOfABatchIsRefused(t *testing.T) {
	kafka, dev := sharedKafka(t), sharedDev(t)
	topic := kafka.Topic(t, 1)
	deploy(t, dev, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic, entrypoint("http-post", "AUTO", nil)))
	large := `"` + strings.Repeat("x", 2<<20) + `"`
	status, answer, _ := send(t, dev.Gateway+"/"+topic, "1\n"+large+"\n3\n", "Content-Type", "application/x-ndjson")
	var p posted
	if err := json.Unmarshal([]byte(answer), &p); err != nil {
		t.Fatalf("%d %s: %v", status, answer, err)
	}
	if status != http.StatusRequestEntityTooLarge || p.Stored != 2 || p.Refused != 1 || p.Messages[1].Result != "refused" || p.Messages[1].Status != status {
		t.Errorf("%d %s", status, answer)
	}
	var stored []string
	for _, r := range readAll(t, kafka, topic, 2) {
		stored = append(stored, string(r.Value))
	}
	sort.Strings(stored)
	if diff := cmp.Diff([]string{"1", "3"}, stored); diff != "" {
		t.Error(diff)
	}
}

// TestPost_IdempotencyKey sends requests again, at once and after a redeploy: each is stored once.
func TestPost_IdempotencyKey(t *testing.T) {
	kafka, dev := sharedKafka(t), sharedDev(t)
	topic := kafka.Topic(t, 1)
	id := deploy(t, dev, apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic, entrypoint("http-post", "AUTO", nil)))
	url := dev.Gateway + "/" + topic
	const clients = 20
	answers := make(chan string, clients)
	for range clients {
		go func() {
			status, body, err := post(t.Context(), url, "once", "Idempotency-Key", "a", "Prefer", "return=representation")
			answers <- fmt.Sprint(status, " ", body, " ", err)
		}()
	}
	first := <-answers
	for range clients - 1 {
		if again := <-answers; again != first {
			t.Errorf("%s, another got %s", first, again)
		}
	}
	if a, err := dev.Do(t.Context(), http.MethodPost, "/v4/apis/"+id+"/deploy?wait=20s", nil); err != nil || a.Status/100 != 2 {
		t.Fatalf("deploy again: %d %s %v", a.Status, a.Body, err)
	}
	status, body, header := send(t, url, "once", "Idempotency-Key", "a", "Prefer", "return=representation")
	if again := fmt.Sprint(status, " ", body, " <nil>"); again != first || header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("after a redeploy %s %v, before %s", again, header, first)
	}
	if status, body, _ := send(t, url, "another", "Idempotency-Key", "a"); status != http.StatusUnprocessableEntity {
		t.Errorf("another request with the key: %d %s", status, body)
	}
	if status, body, _ := send(t, url, "last", "Idempotency-Key", "b"); status != http.StatusAccepted {
		t.Errorf("%d %s", status, body)
	}
	end, err := kafka.EndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if end[0] != 2 {
		t.Errorf("%d messages stored, want 2", end[0])
	}
}
