package dataplane_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	lib "github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/httpget"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/httppost"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/sse"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/websocket"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// failing is a worker whose one endpoint fails as it is told: a publish, a subscription when it is opened, or, having given
// one message, a subscription that is open.
type failing struct {
	*node
	mu sync.Mutex
	// guards the following
	opening, open error
}

func (f *failing) set(opening, open error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opening, f.open = opening, open
}

func (f *failing) told() (opening, open error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opening, f.open
}

func startFailing(t *testing.T) *failing {
	f := &failing{}
	cfg := planetest.Config(nil, nil, &planetest.Endpoint{
		PublishFunc: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
			opening, _ := f.told()
			m.Done(opening)
		},
		SubscribeFunc: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
			opening, open := f.told()
			if opening != nil {
				return nil, opening
			}
			given := false
			return &planetest.Subscription{PollFunc: func(int) ([]message.Message, error) {
				if given {
					return nil, open
				}
				given = true
				return []message.Message{{Content: []byte("first")}}, nil
			}}, nil
		}})
	cfg.Entrypoints = connectors.Entrypoints{"http-post": httppost.Type, "http-get": httpget.Type, "sse": sse.Type, "websocket": websocket.Type}
	f.node = start(t, cfg, nil)
	def := planetest.API("/a/", "http-post", "http-get", "sse", "websocket")
	def.Listeners[0].Entrypoints[1].Configuration = json.RawMessage(`{"metadataInPayload":true}`)
	f.Apply(t.Context(), reactor.Update{Revision: 1, Changed: []reactor.Deployment{{ID: "a", Revision: 1, Bundle: planetest.Bundle(def)}}})
	for _, s := range f.Status().APIs {
		if s.State != reactor.Serving {
			t.Fatal(s.Err)
		}
	}
	return f
}

var randomID = regexp.MustCompile(`"id":"[0-9a-f-]{36}",`)

// ask sends a request that accepts what is given and returns status, a bar and the body.
func (f *failing) ask(method, accept string) string {
	f.t.Helper()
	body := io.Reader(nil)
	if method == "POST" {
		body = strings.NewReader("x")
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.gateway+"/a", body)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	// A connection of its own: the one of a stream that has ended is closed, and a POST on it would be lost.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(bufio.NewReader(resp.Body))
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.Status[:3] + "|" + randomID.ReplaceAllString(string(b), "")
}

// socket opens a WebSocket and returns how that ends: the status and body of a refusal, or the close.
func (f *failing) socket() string {
	f.t.Helper()
	c, resp, err := lib.DefaultDialer.DialContext(f.t.Context(), strings.Replace(f.gateway, "http", "ws", 1)+"/a", http.Header{"Accept": {"text/plain"}})
	if errors.Is(err, lib.ErrBadHandshake) {
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		return resp.Status[:3] + "|" + string(body)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			var closed *lib.CloseError
			if !errors.As(err, &closed) {
				f.t.Fatal(err)
			}
			return closed.Error()
		}
	}
}

// TestFailures_AreRendered: what clients of each entrypoint see of each failure (spec 2.9, 3.6, 3.7, 5.7, 5.8). Before a
// stream has begun, and for a publish, it is an HTTP answer like any other; after that each entrypoint tells in its own way.
func TestFailures_AreRendered(t *testing.T) {
	f := startFailing(t)
	for _, c := range []struct {
		failure message.Failure
		text    string // answer to a publish, and to a stream that could not be opened, as text
		json    string // the same as JSON
		page    string // the error of a page that had begun
		event   string // the data of the last event of a stream; each line of the data
	}{
		{message.Failure{Status: 500, Key: message.KeyConnectionClosed, Message: "Endpoint connection closed"},
			"500|Endpoint connection closed", `500|{"message":"Endpoint connection closed","http_status_code":500}`,
			`{"content":"{\"message\":\"Endpoint connection closed\",\"http_status_code\":500}","metadata":{"key":"FAILURE_ENDPOINT_CONNECTION_CLOSED","statusCode":500,"reason":"Internal Server Error"}}`,
			"Endpoint connection closed"},
		{message.Failure{Status: 500, Key: message.KeyConfigurationInvalid, Message: "Endpoint configuration invalid"},
			"500|Endpoint configuration invalid", `500|{"message":"Endpoint configuration invalid","http_status_code":500}`,
			`{"content":"{\"message\":\"Endpoint configuration invalid\",\"http_status_code\":500}","metadata":{"key":"FAILURE_ENDPOINT_CONFIGURATION_INVALID","statusCode":500,"reason":"Internal Server Error"}}`,
			"Endpoint configuration invalid"},
		{message.Failure{Status: 500, Key: message.KeyUnknownError, Message: "Endpoint unknown error"},
			"500|Endpoint unknown error", `500|{"message":"Endpoint unknown error","http_status_code":500}`,
			`{"content":"{\"message\":\"Endpoint unknown error\",\"http_status_code\":500}","metadata":{"key":"FAILURE_ENDPOINT_UNKNOWN_ERROR","statusCode":500,"reason":"Internal Server Error"}}`,
			"Endpoint unknown error"},
		{message.Failure{Status: 500, Key: message.KeyConnectionFailed, Message: "Endpoint connection failed"},
			"500|Endpoint connection failed", `500|{"message":"Endpoint connection failed","http_status_code":500}`,
			`{"content":"{\"message\":\"Endpoint connection failed\",\"http_status_code\":500}","metadata":{"key":"FAILURE_ENDPOINT_CONNECTION_FAILED","statusCode":500,"reason":"Internal Server Error"}}`,
			"Endpoint connection failed"},
		{message.Failure{Status: 400, Key: message.KeyIncompatibleQoS, Message: "Incompatible Qos between entrypoint and endpoint"},
			"400|Incompatible Qos between entrypoint and endpoint", `400|{"message":"Incompatible Qos between entrypoint and endpoint","http_status_code":400}`,
			`{"content":"{\"message\":\"Incompatible Qos between entrypoint and endpoint\",\"http_status_code\":400}","metadata":{"key":"INCOMPATIBLE_QOS","statusCode":400,"reason":"Bad Request"}}`,
			"Incompatible Qos between entrypoint and endpoint"},
		{message.Failure{Status: 503, Key: message.KeyNoEndpoint}, "503|", "503|",
			`{"content":"{\"message\":\"\",\"http_status_code\":503}","metadata":{"key":"NO_ENDPOINT_FOUND","statusCode":503,"reason":"Service Unavailable"}}`,
			""},
		{message.Failure{Status: 413, Key: message.KeyPublishFailed, Message: "larger than topic t takes"},
			"413|larger than topic t takes", `413|{"message":"larger than topic t takes","http_status_code":413}`,
			`{"content":"{\"message\":\"larger than topic t takes\",\"http_status_code\":413}","metadata":{"key":"FAILURE_ENDPOINT_PUBLISH_FAILED","statusCode":413,"reason":"Request Entity Too Large"}}`,
			"larger than topic t takes"},
		{message.Failure{Status: 504, Key: message.KeyOutcomeUnknown, Message: "topic t may or may not have stored it", Unknown: true},
			"504|topic t may or may not have stored it; it is unknown whether the message was stored",
			`504|{"message":"topic t may or may not have stored it; it is unknown whether the message was stored","http_status_code":504}`,
			`{"content":"{\"message\":\"topic t may or may not have stored it; it is unknown whether the message was stored\",\"http_status_code\":504}","metadata":{"key":"FAILURE_ENDPOINT_PUBLISH_OUTCOME_UNKNOWN","statusCode":504,"reason":"Gateway Timeout"}}`,
			"topic t may or may not have stored it; it is unknown whether the message was stored"},
		{message.Failure{Status: 503, Key: message.KeyBufferFull, Message: "buffer full"},
			"503|buffer full", `503|{"message":"buffer full","http_status_code":503}`,
			`{"content":"{\"message\":\"buffer full\",\"http_status_code\":503}","metadata":{"key":"FAILURE_ENDPOINT_BUFFER_FULL","statusCode":503,"reason":"Service Unavailable"}}`,
			"buffer full"},
		{message.Failure{Status: 400, Key: message.KeyInvalidCursor, Message: "Invalid cursor"},
			"400|Invalid cursor", `400|{"message":"Invalid cursor","http_status_code":400}`,
			`{"content":"{\"message\":\"Invalid cursor\",\"http_status_code\":400}","metadata":{"key":"INVALID_CURSOR","statusCode":400,"reason":"Bad Request"}}`,
			"Invalid cursor"},
	} {
		t.Run(c.failure.Key, func(t *testing.T) {
			want := func(what, got, want string) {
				if got != want {
					t.Errorf("%s\n got %s\nwant %s", what, got, want)
				}
			}
			failure := &c.failure
			f.set(failure, nil)
			want("http-post", f.ask("POST", "text/plain"), c.text)
			want("http-post, JSON", f.ask("POST", "application/json"), c.json)
			want("http-get, not begun", f.ask("GET", "text/plain"), c.text)
			want("http-get, not begun, JSON", f.ask("GET", "application/json"), c.json)
			want("sse, not begun", f.ask("GET", "text/event-stream"), c.text)
			want("websocket, not begun", f.socket(), c.text)

			f.set(nil, failure)
			want("http-get", f.ask("GET", "application/json"), `200|{"items":[{"content":"first","metadata":{}}],"error":`+c.page+`}`)
			_, events, _ := strings.Cut(f.ask("GET", "text/event-stream"), "\n\n") // without the retry: at the head
			want("sse", events, "event: message\ndata: first\n\nevent: error\ndata: "+c.event+"\n\n")
			want("websocket", f.socket(), "websocket: close 1011 (internal server error): Server error") // spec 2.4: no more than that
		})
	}
}
