package httpget_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/httpget"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

func TestMain(m *testing.M) { fake.VerifyNoLeaks(m) }

func build(t testing.TB, cfg string) *httpget.Entrypoint {
	t.Helper()
	e, err := httpget.New([]byte(cfg), fake.Env())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func get(query, accept string) string {
	if accept != "" {
		accept = "Accept: " + accept + "\r\n"
	}
	return "GET /" + query + " HTTP/1.1\r\nHost: h\r\n" + accept + "\r\n"
}

type origin struct{}

func (origin) AppendMetadata(dst []message.Field, m *message.Message) []message.Field {
	return append(dst, message.Field{Name: "topic", Text: m.Topic}, message.Field{Name: "offset", Int: m.Offset, IsInt: true})
}

func item(offset int64, id, content string, headers ...string) message.Message {
	m := message.Message{Offset: offset, Topic: "demo", Content: []byte(content), Origin: origin{}}
	if id != "" {
		m.ID = []byte(id)
	}
	for i := 0; i < len(headers); i += 2 {
		m.Headers = append(m.Headers, message.Header{Name: headers[i], Value: []byte(headers[i+1])})
	}
	return m
}

// Every shape that a client may see, in the three formats.
func TestEntrypoint_Shapes(t *testing.T) {
	t.Parallel()
	const both = `{"headersInPayload":true,"metadataInPayload":true}`
	two := func(s *fake.Subscription) {
		s.Push(item(1, "1", "a", "h", "v1", "g", "x", "H", "v2"), item(2, "2", `b"]]>`+"\r\x01"+"\xff<"))
	}
	gapAndError := func(s *fake.Subscription) {
		s.Push(item(1, "1", "a"))
		s.Push(message.Message{Kind: message.Gap, ID: []byte("9"), Content: []byte(`{"lost":8}`)})
		s.End(&message.Failure{Status: 500, Key: message.KeyConnectionClosed, Message: "Endpoint connection closed"})
	}
	nothing := func(*fake.Subscription) {}
	tests := []struct {
		name, cfg, query, accept string
		script                   func(*fake.Subscription)
		contentType, want        string
	}{
		{"json", "", "?limit=2", "application/json", two, "application/json",
			`{"items":[{"id":"1","content":"a"},{"id":"2","content":"b\"]]>\r\u0001` + "\ufffd" + `<"}],"pagination":{"nextCursor":"2","limit":"2"}}`},
		{"json with everything", both, "?limit=2", "application/json", two, "application/json",
			`{"items":[{"id":"1","content":"a","headers":{"h":["v1","v2"],"g":["x"]},"metadata":{"topic":"demo","offset":1}},` +
				`{"id":"2","content":"b\"]]>\r\u0001` + "\ufffd" + `<","headers":{},"metadata":{"topic":"demo","offset":2}}],"pagination":{"nextCursor":"2","limit":"2"}}`},
		{"json empty, at the cursor given", `{"messagesLimitDurationMs":1}`, "?cursor=5", "*/*", nothing, "application/json",
			`{"items":[],"pagination":{"nextCursor":"5"}}`},
		{"json empty, no positions", `{"messagesLimitDurationMs":1}`, "", "application/json", nothing, "application/json", `{"items":[]}`},
		{"json limit 0", "", "?limit=0&cursor=5", "*/*", nothing, "application/json", `{"items":[],"pagination":{"nextCursor":"5","limit":"0"}}`},
		{"xml", "", "?limit=2", "application/xml", two, "application/xml",
			`<response><items><item><id>1</id><content><![CDATA[a]]></content></item><item><id>2</id><content><![CDATA[b"]]]]><![CDATA[>]]>&#13;<![CDATA[` +
				"\ufffd\ufffd" + `<]]></content></item></items><pagination><nextCursor>2</nextCursor><limit>2</limit></pagination></response>`},
		{"xml with everything", both, "?limit=1", "application/xml", func(s *fake.Subscription) { s.Push(item(1, "1", "a", "h", "v1", "h", "<v2>", "9 xml", "")) }, "application/xml",
			`<response><items><item><id>1</id><content><![CDATA[a]]></content><headers><h>v1,&lt;v2&gt;</h><_9_xml></_9_xml></headers>` +
				`<metadata><topic>demo</topic><offset>1</offset></metadata></item></items><pagination><nextCursor>1</nextCursor><limit>1</limit></pagination></response>`},
		{"text", "", "?limit=2", "text/plain", two, "text/plain",
			"items\nitem\nid: 1\ncontent: a\n\nitem\nid: 2\ncontent: b\"]]>\r\x01\xff<\n\npagination\nnextCursor: 2\nlimit: 2"},
		{"text with everything", both, "?limit=1", "", two, "text/plain",
			"items\nitem\nid: 1\ncontent: a\nheaders: {h=[v1, v2], g=[x]}\nmetadata: {topic=demo, offset=1}\n\npagination\nnextCursor: 1\nlimit: 1"},
		{"ends with the endpoint", "", "", "text/plain", func(s *fake.Subscription) { s.Push(item(1, "", "a")); s.End(io.EOF) }, "text/plain", "items\nitem\ncontent: a\n"},
		{"json gap and error", "", "", "application/json", gapAndError, "application/json",
			`{"items":[{"id":"1","content":"a"}],"gaps":[{"afterItems":1,"detail":{"lost":8}}],"error":{"id":"UUID","content":"{\"message\":\"Endpoint connection closed\",\"http_status_code\":500}"},"pagination":{"nextCursor":"9"}}`},
		{"json error with everything", both, "", "application/json", func(s *fake.Subscription) {
			s.Push(item(1, "1", "a"))
			s.End(&message.Failure{Status: 500, Key: message.KeyConnectionClosed, Message: "gone"})
		}, "application/json",
			`{"items":[{"id":"1","content":"a","headers":{},"metadata":{"topic":"demo","offset":1}}],"error":{"id":"UUID","content":"{\"message\":\"gone\",\"http_status_code\":500}",` +
				`"headers":{"Content-Length":["41"],"Content-Type":["application/json"]},"metadata":{"key":"FAILURE_ENDPOINT_CONNECTION_CLOSED","statusCode":500,"reason":"Internal Server Error"}},"pagination":{"nextCursor":"1"}}`},
		{"xml gap and error", "", "", "application/xml", gapAndError, "application/xml",
			`<response><items><item><id>1</id><content><![CDATA[a]]></content></item></items><gaps><gap><afterItems>1</afterItems><detail>{"lost":8}</detail></gap></gaps>` +
				`<error><id>UUID</id><content><![CDATA[Endpoint connection closed]]></content></error><pagination><nextCursor>9</nextCursor></pagination></response>`},
		{"text gap and error", "", "", "text/plain", gapAndError, "text/plain",
			"items\nitem\nid: 1\ncontent: a\n\ngap\nafterItems: 1\ndetail: {\"lost\":8}\n\nerror\nid: UUID\ncontent: Endpoint connection closed\n\npagination\nnextCursor: 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			tt.script(sub)
			s := fake.Serve(t, build(t, tt.cfg), sub.Backend())
			resp, body := s.Do(get(tt.query, tt.accept))
			if diff := cmp.Diff(tt.want, maskUUID(body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != tt.contentType {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
			wellFormed(t, tt.contentType, body)
			fake.Within(t, "close", sub.Closed)
		})
	}
}

func maskUUID(body string) string {
	for _, before := range []string{`"id":"`, "<id>", "id: "} {
		for from := 0; ; {
			i := strings.Index(body[from:], before)
			if i < 0 {
				break
			}
			i += from + len(before)
			if len(body) >= i+36 && strings.Count(body[i:i+36], "-") == 4 {
				body = body[:i] + "UUID" + body[i+36:]
			}
			from = i
		}
	}
	return body
}

func wellFormed(t *testing.T, contentType, body string) {
	t.Helper()
	switch contentType {
	case "application/json":
		if !json.Valid([]byte(body)) {
			t.Errorf("invalid JSON %s", body)
		}
	case "application/xml":
		if err := xml.Unmarshal([]byte(body), new(any)); err != nil {
			t.Errorf("invalid XML: %v in %s", err, body)
		}
	}
}

func TestEntrypoint_Refusals(t *testing.T) {
	t.Parallel()
	down := &fake.Backend{OnSubscribe: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
		return nil, &message.Failure{Status: 503, Key: message.KeyConnectionFailed, Message: "no broker"}
	}}
	broken := fake.NewSubscription()
	broken.End(&message.Failure{Status: 500, Message: "broken"})
	tests := []struct {
		name, query, accept string
		b                   connectors.Backend
		status              int
		want                string
	}{
		{"accept", "", "image/png, text/html;q=0.5", &fake.Backend{}, 400, "Unsupported accept header: [image/png, text/html;q=0.5]"},
		{"limit is no number", "?limit=ten", "", &fake.Backend{}, 400, `Invalid query parameter "limit": must be a whole number, 0 or more`},
		{"limit is negative", "?limit=-1", "", &fake.Backend{}, 400, `Invalid query parameter "limit": must be a whole number, 0 or more`},
		{"subscribe fails", "", "", down, 503, "no broker"},
		{"fails before the first message", "", "application/json", broken.Backend(), 500, `{"message":"broken","http_status_code":500}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, body := fake.Serve(t, build(t, ""), tt.b).Do(get(tt.query, tt.accept))
			if resp.StatusCode != tt.status || body != tt.want {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

func TestEntrypoint_Limits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, cfg, query string
		items            int
		asked            int
	}{
		{"ours", `{"messagesLimitCount":3}`, "?limit=100", 3, 3},
		{"the client's", `{"messagesLimitCount":3}`, "?limit=2", 2, 2},
		{"empty is none", `{"messagesLimitCount":3}`, "?limit=", 3, 3},
		{"beyond any number", `{"messagesLimitCount":3}`, "?limit=99999999999999999999999", 3, 3},
		{"default", "", "", 500, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			for i := range int64(600) {
				sub.Push(item(i, fmt.Sprint(i), "x"))
			}
			s := fake.Serve(t, build(t, tt.cfg), sub.Backend())
			_, body := s.Do(get(tt.query, "*/*"))
			var page struct{ Items []struct{} }
			if err := json.Unmarshal([]byte(body), &page); err != nil {
				t.Fatal(err)
			}
			if len(page.Items) != tt.items || sub.Options().Limit != tt.asked || sub.Delivered() != int64(tt.items-1) {
				t.Errorf("%d items, limit %d, delivered through %d", len(page.Items), sub.Options().Limit, sub.Delivered())
			}
		})
	}
}

// A page that grows too large ends early, at a message that tells where it is, and nothing is lost.
func TestEntrypoint_PageIsBounded(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("x", 1<<20)
	next, seen := 0, 0
	for seen < 20 {
		sub := fake.NewSubscription()
		for i := next; i < 20; i++ {
			sub.Push(item(int64(i), fmt.Sprint(i), content))
		}
		sub.End(io.EOF)
		s := fake.Serve(t, build(t, ""), sub.Backend())
		_, body := s.Do(get("", "*/*"))
		var page struct {
			Items      []struct{}
			Pagination struct{ NextCursor string }
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err)
		}
		if len(body) > 10<<20 || len(page.Items) == 0 {
			t.Fatalf("page of %d bytes, %d items", len(body), len(page.Items))
		}
		seen += len(page.Items)
		if _, err := fmt.Sscan(page.Pagination.NextCursor, &next); err != nil {
			t.Fatal(err)
		}
		next++
		if next != seen || sub.Delivered() != int64(seen-1) {
			t.Fatalf("cursor before %d after %d items, delivered through %d", next, seen, sub.Delivered())
		}
	}
}

// What arrives while the page is open belongs to it.
func TestEntrypoint_LongPoll(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.Serve(t, build(t, `{"messagesLimitDurationMs":60000}`), sub.Backend())
	r := s.Send(get("?limit=2", "text/plain"))
	fake.Within(t, "subscribe", sub.Opened)
	sub.Push(item(1, "1", "a"))
	sub.Push(item(2, "2", "b"))
	if line, _ := r.ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
		t.Error(line)
	}
}

func TestEntrypoint_Stop(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		stop func(*fake.Server, *fake.Subscription)
	}{
		{"context", func(s *fake.Server, _ *fake.Subscription) { s.Stop(nil) }},
		{"message", func(_ *fake.Server, b *fake.Subscription) { b.Push(message.Message{Kind: message.GoAway}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			sub.Push(item(1, "1", "a"))
			s := fake.Serve(t, build(t, `{"messagesLimitDurationMs":60000}`), sub.Backend())
			answer := make(chan string, 1)
			go func() {
				resp, body := s.Do(get("", "application/json"))
				answer <- fmt.Sprint(resp.StatusCode, " ", resp.Close, " ", body)
			}()
			fake.Within(t, "subscribe", sub.Opened)
			for sub.Waiting() > 0 {
				runtime.Gosched()
			}
			tt.stop(s, sub)
			want := `200 true {"items":[{"id":"1","content":"a"}],"error":{"id":"goaway","content":"Stopping, please reconnect"},"pagination":{"nextCursor":"1"}}`
			if got := <-answer; got != want {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestType_Check(t *testing.T) {
	t.Parallel()
	got := httpget.Type.Check([]byte(`{"messagesLimitCount":0,"messagesLimitDurationMs":-1}`))
	if len(got.Errors()) != 2 {
		t.Errorf("%v", got)
	}
	if p := httpget.Type.Check(nil); len(p) > 0 {
		t.Errorf("%v", p)
	}
}

// Framing a plain item allocates nothing; what remains is per page.
func TestEntrypoint_Allocations(t *testing.T) {
	if fake.Race {
		t.Skip("sync.Pool drops items under the race detector")
	}
	e := build(t, "")
	perPage := func(items int) float64 {
		msgs := make([]message.Message, items)
		for i := range msgs {
			msgs[i] = item(int64(i), "id", "content")
		}
		var fctx fasthttp.RequestCtx
		fctx.Request.Header.Set("Accept", "application/json")
		return testing.AllocsPerRun(200, func() {
			sub := fake.NewSubscription()
			sub.Push(msgs...)
			sub.End(io.EOF)
			e.Handle(t.Context(), &exchange.Exchange{HTTP: &fctx}, sub.Backend())
		})
	}
	few, many := perPage(10), perPage(400)
	t.Logf("%.0f allocations for a page of 10, %.0f for 400", few, many)
	if many-few > 10 { // the script's own slice and the Polls
		t.Errorf("%.2f allocations per item", (many-few)/390)
	}
}
