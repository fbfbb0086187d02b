package el_test

import (
	"bufio"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// origin tells metadata as the Kafka endpoint does.
type origin struct{}

func (origin) AppendMetadata(dst []message.Field, m *message.Message) []message.Field {
	return append(dst, message.Field{Name: "topic", Text: m.Topic}, message.Field{Name: "offset", Int: m.Offset, IsInt: true},
		message.Field{Name: "sourceTimestamp", Int: 1700000000000, IsInt: true})
}

type secrets struct{}

func (secrets) Get(uri, key string) (string, error) {
	if uri == "/vault/secret/x:key" || uri == "/vault/secret/x" && key == "key" {
		return "hunter2", nil
	}
	return "", net.ErrClosed
}

const jsonBody = `{"a":{"b":5,"s":"text","n":null},"list":[1,2,3],"items":[{"name":"x","price":10},{"name":"y","price":20.5}],"big":3000000000}`

const xmlBody = `<?xml version="1.0"?><order id="7"><item>one</item><item>two</item><total>35</total></order>`

// request is a request as the server would have it.
func request() *fasthttp.RequestCtx {
	raw := "POST /orders/eu/42?q=one&q=two&Empty= HTTP/1.1\r\nHost: gateway.test\r\nX-Type: a\r\nX-Many: v1\r\nx-many: v2\r\n" +
		"X-One: v1\r\nX-Number: 42\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(jsonBody)) + "\r\n\r\n" + jsonBody
	var req fasthttp.Request
	if err := req.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		panic(err)
	}
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}, nil)
	ctx.Response.SetStatusCode(404)
	ctx.Response.Header.Set("X-Back", "b")
	ctx.Response.SetBodyString(`{"ok":true}`)
	return ctx
}

func newMessage() *message.Message {
	return &message.Message{ID: []byte("m-1"), Topic: "orders", Key: []byte("k1"), Partition: 3, Offset: 12, Timestamp: 1700000000000,
		Content: []byte(jsonBody), Origin: origin{}, Attributes: map[string]any{"seen": true, "n": int64(3), "list": []string{"p", "q"}},
		Headers: []message.Header{{Name: "foo", Value: []byte("bar-value")}, {Name: "X-Many", Value: []byte("v1")},
			{Name: "x-many", Value: []byte("v2")}, {Name: "ce_id", Value: []byte("1")}, {Name: "empty", Value: nil}}}
}

// newScope has something of everything that expressions may see.
func newScope() *el.Exchange {
	x := &exchange.Exchange{HTTP: request(), RequestID: "r-1", TransactionID: "t-1", ContextPath: "/orders/", PathInfo: "/eu/42",
		Plan: "p-1", Application: "app-1", Subscription: "sub-1", ClientIdentifier: "client-1",
		RemoteAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711},
		API:        &exchange.API{ID: "api-1", Name: "Orders", Version: "1.2", Environment: "DEFAULT"}}
	x.SetAttribute("gravitee.attribute.user.roles", []any{"admin", "dev"})
	x.SetAttribute("count", int64(7))
	s := &el.Exchange{X: x, Secrets: secrets{},
		API: &el.API{Properties: map[string]string{"k": "v", "n": "10"}, Dictionaries: map[string]map[string]string{"d": {"k": "entry"}},
			Endpoints: map[string]string{"main": "main:"}, Node: el.Node{ID: "n-1", Version: "0.1.0", ShardingTags: []string{"eu", "us"}}},
		Subscription: &el.Subscription{ID: "sub-1", Type: "STANDARD", ClientID: "c-1", ApplicationName: "App",
			Metadata: map[string]string{"bar": "bar-value", "filter": "v.*", "foo": "v1", "bad": "(?=x)"}},
		Failure: &el.Failure{Status: 503, Key: "KEY", Message: "Broken", Parameters: map[string]any{"p": "q"}},
		Other: map[string]el.Value{"m": el.OfMap(el.AnyMap{"a": 1, "list": []any{1, 2, 3, 4}, "name": "Zoë", "names": []any{"b", "a"}}),
			"n": el.OfInt(5), "t": el.OfText("hello world"), "one": el.OfText("1"), "group": el.OfTexts([]string{"g0", "g1"}),
			"xml": el.OfText(xmlBody), "emoji": el.OfText("a😀b"), "json": el.OfText(jsonBody),
			"calloutResponse": el.OfMap(el.AnyMap{"status": 500, "content": "{}"})}}
	s.SetMessage(newMessage())
	return s
}

// show writes a value as a literal of the language would be written.
func show(v el.Value) string {
	switch v.Kind() {
	case el.Null:
		return "null"
	case el.Text:
		return "'" + v.Text() + "'"
	case el.Long:
		return text(v) + "L"
	case el.List, el.Values:
		var items []string
		for i := range v.Len() {
			items = append(items, show(v.At(i)))
		}
		return "{" + strings.Join(items, ", ") + "}"
	case el.Map:
		var items []string
		v.Each(func(k string, e el.Value) bool { items = append(items, k+": "+show(e)); return true })
		return "{" + strings.Join(items, ", ") + "}map"
	case el.Bytes:
		return "bytes(" + string(v.Any().([]byte)) + ")"
	case el.Time:
		return "time"
	}
	return text(v)
}

func text(v el.Value) string { return v.String() }

func parse(t testing.TB, src string) *el.Template {
	t.Helper()
	tmpl, err := el.Parse(src, el.Options{})
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return tmpl
}
