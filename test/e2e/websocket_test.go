//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/test/process"
)

// frame is a frame of the server in sluice.v1, as far as these tests look at it.
type frame struct {
	Type      string
	Seq       uint64
	ID        string
	Content   string
	Headers   map[string][]string
	Metadata  struct{ Key, Topic string }
	Ref       string
	Topic     string
	Partition int32
	Offset    int64
	Reason    string
	Cursor    string
	Code      string
	Message   string
}

func dialV1(t *testing.T, address string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"sluice.v1"}, EnableCompression: true}
	c, resp, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(address, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subprotocol() != "sluice.v1" || resp.Header.Get("Sec-WebSocket-Extensions") == "" {
		t.Fatalf("agreed on %v", resp.Header)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(2 * time.Minute))
	return c
}

func nextFrame(t *testing.T, c *websocket.Conn) frame {
	t.Helper()
	var f frame
	_, b, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return f
}

// redeploy makes definition the API's next revision and waits until it serves.
func redeploy(t *testing.T, dev *process.Dev, id string, definition []byte) {
	t.Helper()
	for _, step := range []struct {
		method, path string
		body         []byte
	}{{http.MethodPut, "", definition}, {http.MethodPost, "/deploy?wait=20s", nil}} {
		a, err := dev.Do(t.Context(), step.method, "/v4/apis/"+id+step.path, step.body)
		if err != nil || a.Status/100 != 2 {
			t.Fatalf("%s %s: %d %s %v", step.method, step.path, a.Status, a.Body, err)
		}
	}
}

// TestKafka_WebSocketSubprotocol publishes over one socket in sluice.v1, learns where each message was stored, and reads them over
// another with credit and acks, which a redeploy interrupts: the new revision goes on at the cursor of the old one's last word.
func TestKafka_WebSocketSubprotocol(t *testing.T) {
	kafka, dev := sharedKafka(t), sharedDev(t)
	const total, partitions, window = 20_000, 3, 500
	topic := kafka.Topic(t, partitions)
	definition := apiOf(t, t.Name(), "/"+topic, kafka.Addr(), topic, entrypoint("websocket", "AUTO", object{"compression": object{"enabled": true}}))
	id := deploy(t, dev, definition)
	gateway := dev.Gateway + "/" + topic
	reader, writer := dialV1(t, gateway+"?credit="+strconv.Itoa(window)), dialV1(t, gateway+"?credit=0")

	sent := make(chan error, 1)
	go func() {
		for i := range total {
			n := strconv.Itoa(i)
			err := writer.WriteJSON(object{"type": "publish", "ref": n, "content": n, "key": "k" + n, "headers": object{"h": []string{"1", n}}})
			if err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	type place struct {
		partition int32
		offset    int64
	}
	stored := map[place]string{}
	for range total {
		f := nextFrame(t, writer)
		if f.Type != "published" || f.Topic != topic {
			t.Fatalf("%+v", f)
		}
		stored[place{f.Partition, f.Offset}] = f.Ref
	}
	if err := <-sent; err != nil || len(stored) != total {
		t.Fatalf("%d places of %d messages: %v", len(stored), total, err)
	}
	for _, record := range readAll(t, kafka, topic, total) {
		at := place{record.Partition, record.Offset}
		if ref := stored[at]; string(record.Value) != ref || string(record.Key) != "k"+ref || len(record.Headers) != 2 || string(record.Headers[1].Value) != ref {
			t.Fatalf("at %v lies %s with key %s, published was %s", at, record.Value, record.Key, ref)
		}
	}

	got := map[string]int{}
	take := func(f frame) {
		got[f.Content]++
		if f.Metadata.Key != "k"+f.Content || len(f.Headers["h"]) != 2 || f.ID == "" {
			t.Fatalf("%+v", f)
		}
		if f.Seq%100 == 0 {
			_ = reader.WriteJSON(object{"type": "ack", "through": f.Seq})
			_ = reader.WriteJSON(object{"type": "credit", "messages": 100})
		}
	}
	for len(got) < total/2 {
		take(nextFrame(t, reader))
	}
	redeploy(t, dev, id, apiOf(t, t.Name()+" again", "/"+topic, kafka.Addr(), topic, entrypoint("websocket", "AUTO", object{"compression": object{"enabled": true}})))
	last := nextFrame(t, reader)
	for ; last.Type == "message"; last = nextFrame(t, reader) {
		take(last)
	}
	if last.Type != "goaway" || last.Reason != "redeploy" || last.Cursor == "" {
		t.Fatalf("%+v", last)
	}
	_, _, err := reader.ReadMessage()
	if closed, ok := err.(*websocket.CloseError); !ok || closed.Code != 1012 {
		t.Errorf("%v", err)
	}
	reader = dialV1(t, gateway+"?credit="+strconv.Itoa(window)+"&from="+url.QueryEscape(last.Cursor))
	for len(got) < total {
		take(nextFrame(t, reader))
	}
	for content, n := range got {
		if n != 1 {
			t.Errorf("%s came %d times", content, n)
		}
	}
}
