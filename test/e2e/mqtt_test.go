//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/test/brokers"
)

// TestMQTT_AllEntrypointsOnOneAPI posts through Mosquitto to an event stream, a WebSocket and a GET of the same API.
func TestMQTT_AllEntrypointsOnOneAPI(t *testing.T) {
	ctx := t.Context()
	broker := brokers.StartMosquitto(t, brokers.MosquittoConfig{})
	dev := sharedDev(t)
	host, port, err := net.SplitHostPort(broker.Addr())
	if err != nil {
		t.Fatal(err)
	}
	number, _ := strconv.Atoi(port)
	deploy(t, dev, encode(t, object{
		"name": t.Name(), "apiVersion": "1.0", "definitionVersion": "V4", "type": "MESSAGE",
		"listeners": []object{{"type": "HTTP", "paths": []object{{"path": "/mqtt"}}, "entrypoints": []object{
			entrypoint("http-post", "AUTO", object{"requestHeadersToMessage": true}),
			entrypoint("http-get", "AUTO", object{"messagesLimitCount": 1, "messagesLimitDurationMs": 20_000}),
			entrypoint("sse", "AUTO", object{"metadataAsComment": true}),
			entrypoint("websocket", "NONE", object{}),
		}}},
		"endpointGroups": []object{{
			"name": "mqtt", "type": "mqtt5",
			"sharedConfiguration": object{
				"consumer": object{"enabled": true, "topic": "e2e/+"},
				"producer": object{"enabled": true, "topic": "e2e/in", "retained": true},
			},
			"endpoints": []object{{"name": "one", "type": "mqtt5", "inheritConfiguration": true,
				"configuration": object{"serverHost": host, "serverPort": number}}},
		}},
		"plans": []object{keyless},
	}))
	url := dev.Gateway + "/mqtt"
	s := openSSE(ctx, t, url)
	ws, res, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	defer ws.Close()
	const n = 200
	for i := range n {
		status, body, err := post(ctx, url, fmt.Sprint(i))
		if err != nil || status != http.StatusAccepted {
			t.Fatalf("POST %d: %d %s %v", i, status, body, err)
		}
	}
	for i := range n {
		e, err := s.nextMessage()
		if err != nil || e.data != fmt.Sprint(i) || !strings.Contains(strings.Join(e.comments, " "), "e2e/in") {
			t.Fatalf("event %d: %+v %v", i, e, err)
		}
		_, frame, err := ws.ReadMessage()
		if err != nil || string(frame) != fmt.Sprint(i) {
			t.Fatalf("frame %d: %q %v", i, frame, err)
		}
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte("from a socket")); err != nil {
		t.Fatal(err)
	}
	if e, err := s.nextMessage(); err != nil || e.data != "from a socket" {
		t.Fatalf("event %+v %v", e, err)
	}
	status, body, err := get(ctx, url, "Accept", "application/json") // a new subscriber: the retained message
	var page struct {
		Items []struct{ Content string }
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &page)
	}
	if err != nil || status != http.StatusOK || len(page.Items) != 1 || page.Items[0].Content != "from a socket" {
		t.Fatalf("GET %d %s %v", status, body, err)
	}
	if status, body, _ := get(ctx, url+"?cursor=abc", "Accept", "application/json"); status != http.StatusBadRequest {
		t.Errorf("GET with a cursor: %d %s, want 400", status, body)
	}
}
