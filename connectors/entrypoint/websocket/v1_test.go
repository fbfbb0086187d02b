package websocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	lib "github.com/fasthttp/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

const v1Header = "Sec-WebSocket-Protocol: other, sluice.v1\r\n"

// dialV1 connects with the library.
func dialV1(t testing.TB, s *fake.Server, query string) *lib.Conn {
	t.Helper()
	d := lib.Dialer{Subprotocols: []string{"sluice.v1"}}
	c, _, err := d.Dial("ws://"+s.Addr+"/"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subprotocol() != "sluice.v1" {
		t.Fatalf("sub-protocol %q", c.Subprotocol())
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// seen is a frame of the server, decoded by the standard library.
type seen struct {
	Type          string
	Seq           uint64
	ID            string
	Content       *string
	ContentBase64 *[]byte
	Headers       map[string][]string
	HeadersBase64 map[string][][]byte
	Metadata      map[string]any
	Detail        json.RawMessage
	Reason        string
	Cursor        string
	Code, Message string
	Ref, Topic    string
	Partition     int
	Offset        int64
	Unknown       bool
}

func nextV1(t testing.TB, c *lib.Conn) seen {
	t.Helper()
	var f seen
	kind, b, err := c.ReadMessage()
	if err != nil || kind != lib.TextMessage {
		t.Fatalf("frame of kind %d: %v", kind, err)
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return f
}

func sendV1(c *lib.Conn, format string, args ...any) {
	_ = c.WriteMessage(lib.TextMessage, fmt.Appendf(nil, format, args...))
}

type origin struct{}

func (origin) AppendMetadata(dst []message.Field, m *message.Message) []message.Field {
	return append(dst, message.Field{Name: "key", Text: string(m.Key)}, message.Field{Name: "offset", Int: m.Offset, IsInt: true})
}

func TestV1_Frames(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	c := dialWith(t, fake.Serve(t, build(t, ""), sub.Backend()), v1Header)
	headers := []message.Header{{Name: "a", Value: []byte("1")}, {Name: "b", Value: []byte("\xff")}, {Name: "A", Value: []byte("2")}, {Name: "c", Value: []byte{}}}
	long := strings.Repeat("y", 70000)
	sub.Push(
		message.Message{ID: []byte(`i"1`), Offset: 1, Content: []byte("a\"\n€")},
		message.Message{Offset: 2, Content: []byte("\xff\x00")},
		message.Message{Offset: 3},
		message.Message{Offset: 4, Content: []byte{}},
		message.Message{Offset: 5, Content: []byte("x"), Headers: headers, Key: []byte("k"), Origin: origin{}},
		message.Message{Kind: message.Gap, Content: []byte(`{"lost":7}`)},
		message.Message{Kind: message.Notice},
		message.Message{Offset: 6, Content: []byte(long)},
		message.Message{Offset: 7, Content: []byte(strings.Repeat("z", 70))},
	)
	for _, want := range []string{
		`81 {"type":"message","seq":1,"id":"i\"1","content":"a\"\n€"}`,
		`81 {"type":"message","seq":2,"contentBase64":"/wA="}`,
		`81 {"type":"message","seq":3,"content":null}`,
		`81 {"type":"message","seq":4,"content":""}`,
		`81 {"type":"message","seq":5,"content":"x","headers":{"a":["1","2"],"c":[""]},"headersBase64":{"b":["/w=="]},"metadata":{"key":"k","offset":5}}`,
		`81 {"type":"gap","detail":{"lost":7}}`,
		`81 {"type":"notice","detail":{}}`,
		`81 {"type":"message","seq":6,"content":"` + long + `"}`,
		`81 {"type":"message","seq":7,"content":"` + strings.Repeat("z", 70) + `"}`,
	} {
		if got := c.next(); got != want {
			t.Errorf("%.200s, want %.200s", got, want)
		}
	}
}

func TestV1_Acks(t *testing.T) {
	t.Parallel()
	sub, b := watch()
	c := dialV1(t, fake.ServeLevel(t, build(t, ""), b, qos.AtLeastOnce), "")
	sub.Push(numbered(11, 10, "x")...)
	for i := range 10 {
		if f := nextV1(t, c); f.Seq != uint64(i+1) {
			t.Fatalf("%+v", f)
		}
	}
	sendV1(c, `{"type":"ack","seqs":[5,3,5]}`)
	until(t, sub.acknowledged, 15)
	until(t, sub.acknowledged, 13)
	sendV1(c, ` { "through" : 2 , "type" : "ack" } `)
	until(t, sub.delivered, 12)
	sendV1(c, `{"type":"ack","through":1}`)
	sendV1(c, `{"type":"ack","seqs":[1,2,3]}`) // all known
	sendV1(c, `{"type":"ack","through":7}`)
	until(t, sub.delivered, 17)
	sendV1(c, `{"type":"ack","seqs":[10]}`)
	until(t, sub.acknowledged, 20)
	_ = c.Close()
	fake.Within(t, "close", sub.Closed)
	if diff := cmp.Diff([]int64{15, 13, 20}, sub.Acknowledged()); diff != "" {
		t.Errorf("acknowledged (-want +got):\n%s", diff)
	}
	if d := sub.Delivered(); d != 17 {
		t.Errorf("delivered through %d", d)
	}
}

// At-least-once is proved by acks alone: no ping asks for it, and a client that does not ack is waited for.
func TestV1_BoundWithoutAcks(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	c := dialWith(t, fake.ServeLevel(t, build(t, ""), sub.Backend(), qos.AtLeastOnce), v1Header)
	sub.Push(numbered(1, 10_000, "")...)
	read := func(n int) {
		for i := range n {
			if f := c.next(); !strings.HasPrefix(f, `81 {"type":"message"`) {
				t.Fatalf("%d: %q", i, f)
			}
		}
	}
	read(4096)
	c.pongs()
	c.pongs()
	c.send(frame(0x81, `{"type":"ack","seqs":[4096]}`)) // opens nothing: the oldest is unproved
	c.pongs()
	c.pongs()
	c.send(frame(0x81, `{"type":"ack","through":100}`))
	read(100)
	c.pongs()
	c.send(frame(0x81, `{"type":"ack","seqs":[101]}`))
	read(1)
	c.pongs()
	c.pongs()
}

func TestV1_Credit(t *testing.T) {
	t.Parallel()
	for _, level := range qos.Levels() {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			s := fake.ServeLevel(t, build(t, ""), sub.Backend(), level)
			c := dialV1(t, s, "?credit=2")
			sub.Push(numbered(1, 10, "x")...)
			for seq := uint64(1); seq <= 2; seq++ {
				if f := nextV1(t, c); f.Seq != seq {
					t.Errorf("%+v", f)
				}
			}
			pongs := make(chan struct{}, 1)
			c.SetPongHandler(func(string) error { pongs <- struct{}{}; return nil })
			next := make(chan seen)
			go func() {
				for range 4 {
					next <- nextV1(t, c)
				}
			}()
			_ = c.WriteMessage(lib.PingMessage, nil)
			select {
			case <-pongs:
			case f := <-next:
				t.Errorf("without credit: %+v", f)
			}
			if w := sub.Waiting(); w != 8 {
				t.Errorf("%d of 10 messages are not polled", w)
			}
			sendV1(c, `{"type":"credit","messages":1}`)
			sendV1(c, `{"type":"credit","messages":2}`)
			for seq := uint64(3); seq <= 5; seq++ {
				if f := <-next; f.Seq != seq {
					t.Errorf("%+v", f)
				}
			}
			s.Stop(message.ErrRedeploy)
			if f := <-next; f.Type != "goaway" || f.Reason != "redeploy" {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestV1_CreditInTheAddress(t *testing.T) {
	t.Parallel()
	s := fake.Serve(t, build(t, ""), &fake.Backend{})
	d := lib.Dialer{Subprotocols: []string{"sluice.v1"}}
	for _, credit := range []string{"x", "-1", "2147483649"} {
		if _, resp, err := d.Dial("ws://"+s.Addr+"/?credit="+credit, nil); err == nil || resp == nil || resp.StatusCode != 400 {
			t.Errorf("%s: %v %v", credit, resp, err)
		}
	}
}

// The last word says where to go on, in a frame and, where it fits, in the reason of the close frame.
func TestV1_GoAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, cursor, reason string }{
		{"short", "orders@0#5", "Try Again Later; from=orders@0#5"},
		{"as long as it may be", strings.Repeat("c", 123-len("Try Again Later; from=")), "Try Again Later; from=" + strings.Repeat("c", 123-len("Try Again Later; from="))},
		{"too long", strings.Repeat("c", 124-len("Try Again Later; from=")), "Try Again Later"},
		{"none", "", "Try Again Later"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub := fake.NewSubscription()
			sub.Cursor = func(*message.Message) string { return tt.cursor }
			s := fake.Serve(t, build(t, ""), sub.Backend())
			c := dialV1(t, s, "")
			s.Stop(nil)
			if f := nextV1(t, c); f.Type != "goaway" || f.Reason != "stop" || f.Cursor != tt.cursor {
				t.Errorf("%+v", f)
			}
			if got := closeOf(t, c); got != "1013 "+tt.reason {
				t.Errorf("%q", got)
			}
		})
	}
}

// What was polled is sent before the last word, also where the client has not proved enough: else the cursor would pass it.
func TestV1_GoAwayIsExact(t *testing.T) {
	t.Parallel()
	sub, b := watch()
	msgs := numbered(1, 40, strings.Repeat("x", 64<<10))
	for i := range msgs {
		msgs[i].ID = fmt.Appendf(nil, "id%d", i+1)
	}
	s := fake.ServeLevel(t, build(t, ""), b, qos.AtLeastOnce)
	c := dialV1(t, s, "")
	sub.Push(msgs...)
	for range 16 {
		nextV1(t, c)
	}
	s.Stop(nil)
	last := ""
	for {
		f := nextV1(t, c)
		if f.Type == "goaway" {
			if f.Cursor != last {
				t.Errorf("the cursor is %q, the last message %q", f.Cursor, last)
			}
			break
		}
		last = f.ID
	}
	sendV1(c, `{"type":"ack","through":20}`) // still heard
	until(t, sub.delivered, 20)
	sendV1(c, `{"type":"ack","through":40}`)
	if got := closeOf(t, c); got != "1013 Try Again Later; from="+last {
		t.Errorf("%q", got)
	}
}

func TestV1_Failure(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	c := dialV1(t, fake.Serve(t, build(t, ""), sub.Backend()), "")
	sub.End(&message.Failure{Status: 500, Key: message.KeyConnectionFailed, Message: "no broker", Err: errors.New("secret")})
	if f := nextV1(t, c); f.Type != "error" || f.Code != message.KeyConnectionFailed || f.Message != "no broker" {
		t.Errorf("%+v", f)
	}
	if got := closeOf(t, c); got != "1011 Server error" {
		t.Errorf("%q", got)
	}
}

func TestV1_Publish(t *testing.T) {
	t.Parallel()
	type record struct {
		Content, Key []byte
		Headers      []message.Header
	}
	got := make(chan record, 10)
	b := &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
		r := record{Key: append([]byte(nil), m.Key...)}
		if m.Content != nil {
			r.Content = append([]byte{}, m.Content...)
		}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, message.Header{Name: h.Name, Value: append([]byte{}, h.Value...)})
		}
		got <- r
		switch string(m.Content) {
		case "refuse":
			m.Done(&message.Failure{Status: 500, Key: message.KeyOutcomeUnknown, Message: "no answer", Unknown: true})
		case "secret":
			m.Done(errors.New("secret"))
		default:
			m.Topic, m.Partition, m.Offset = "orders", 3, 7
			m.Done(nil)
		}
	}}
	c := dialV1(t, fake.Serve(t, build(t, ""), b), "")
	stored := seen{Type: "published", Ref: "r", Topic: "orders", Partition: 3, Offset: 7}
	tests := []struct {
		send   string
		want   record
		answer seen
	}{
		{`{"type":"publish","ref":"r","content":"a\"\u20ac\ud83d\ude00\n"}`, record{Content: []byte("a\"€😀\n")}, stored},
		{`{"type":"publish","ref":"r","contentBase64":"/wA=","keyBase64":"AAE="}`, record{Content: []byte("\xff\x00"), Key: []byte("\x00\x01")}, stored},
		{`{"type":"publish","ref":"r","content":null,"key":"k"}`, record{Key: []byte("k")}, stored},
		{`{"type":"publish","ref":"r","content":"","headers":{"a":["1","2"],"b":[]},"headersBase64":{"c":["/w=="]}}`, record{Content: []byte{},
			Headers: []message.Header{{Name: "a", Value: []byte("1")}, {Name: "a", Value: []byte("2")}, {Name: "c", Value: []byte("\xff")}}}, stored},
		{`{"type":"publish","ref":"r\"","content":"refuse"}`, record{Content: []byte("refuse")}, seen{Type: "refused", Ref: `r"`,
			Code: message.KeyOutcomeUnknown, Message: "no answer; it is unknown whether the message was stored", Unknown: true}},
		{`{"type":"publish","ref":"r","content":"secret"}`, record{Content: []byte("secret")}, seen{Type: "refused", Ref: "r",
			Code: message.KeyPublishFailed, Message: "Internal Server Error"}},
	}
	for _, tt := range tests {
		sendV1(c, "%s", tt.send)
		if diff := cmp.Diff(tt.want, <-got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.send, diff)
		}
		if diff := cmp.Diff(tt.answer, nextV1(t, c)); diff != "" {
			t.Errorf("answer to %s (-want +got):\n%s", tt.send, diff)
		}
	}
	_ = c.WriteMessage(lib.CloseMessage, lib.FormatCloseMessage(1000, ""))
	if got := closeOf(t, c); got != "1000" {
		t.Errorf("%q", got)
	}
}

func TestV1_PublisherDisabled(t *testing.T) {
	t.Parallel()
	c := dialV1(t, fake.Serve(t, build(t, `{"publisher":{"enabled":false}}`), &fake.Backend{}), "")
	sendV1(c, `{"type":"publish","ref":"r","content":"x"}`)
	if f := nextV1(t, c); f.Type != "refused" || f.Ref != "r" || f.Code != "PUBLISHER_DISABLED" {
		t.Errorf("%+v", f)
	}
}

// A client that publishes and does not read the answers is not read from any more: answers are bounded as what is in flight is.
func TestV1_UnreadAnswers(t *testing.T) {
	t.Parallel()
	held := make(chan *message.Message, 10_000)
	b := &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) { held <- m }}
	c := dialV1(t, fake.Serve(t, build(t, ""), b), "")
	const total = 5000
	go func() {
		for i := range total {
			sendV1(c, `{"type":"publish","ref":"%d","content":"x"}`, i)
		}
	}()
	refs := map[string]bool{}
	for range total {
		(<-held).Done(nil)
	}
	for range total {
		refs[nextV1(t, c).Ref] = true
	}
	if len(refs) != total {
		t.Errorf("%d answers to %d publishes", len(refs), total)
	}
}

func TestV1_Malformed(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, send, want string }{
		{"no JSON", `x`, "1007 byte 0: an object is expected"},
		{"empty", ``, "1007 byte 0: an object is expected"},
		{"array", `[]`, "1007 byte 0: an object is expected"},
		{"unfinished", `{"type":"ack"`, "1007 byte 13: a comma or the object's end is expected"},
		{"more behind", `{"type":"credit","messages":1}x`, "1007 byte 30: nothing may follow the object"},
		{"no type", `{}`, "1007 /type: is missing"},
		{"type is no string", `{"type":1}`, "1007 /type: byte 8: a string is expected"},
		{"unknown type", `{"type":"subscribe"}`, "1008 /type: is not one of ack, credit, publish"},
		{"unknown field", `{"type":"ack","thru":1}`, `1008 unknown field "thru"`},
		{"long unknown field", `{"` + strings.Repeat("€", 100) + `":1}`, `1008 unknown field "` + strings.Repeat("€", 10) + `"`},
		{"twice", `{"type":"ack","through":1,"through":1}`, "1008 /through: is given twice"},
		{"foreign field", `{"type":"ack","through":1,"ref":"x"}`, "1008 /ref: does not belong to ack"},
		{"neither", `{"type":"ack"}`, "1008 exactly one of through and seqs is needed"},
		{"both", `{"type":"ack","through":0,"seqs":[]}`, "1008 exactly one of through and seqs is needed"},
		{"not sent", `{"type":"ack","through":1}`, "1008 /through: 1 was not sent yet"},
		{"one not sent", `{"type":"ack","seqs":[1]}`, "1008 /seqs/0: 1 was not sent yet"},
		{"negative", `{"type":"ack","through":-1}`, "1007 /through: byte 24: a whole number is expected"},
		{"fraction", `{"type":"ack","through":1.0}`, "1007 /through: byte 25: a whole number is expected"},
		{"leading zero", `{"type":"ack","through":01}`, "1007 /through: byte 26: a whole number is expected"},
		{"huge", `{"type":"ack","through":99999999999999999999}`, "1007 /through: is too large"},
		{"too many", `{"type":"ack","seqs":[` + strings.Repeat("0,", 1024) + `0]}`, "1008 /seqs: has more than 1024 elements"},
		{"no credit", `{"type":"credit"}`, "1008 /messages: is missing"},
		{"too much credit", `{"type":"credit","messages":2147483649}`, "1008 /messages: credit would exceed 2147483648 messages"},
		{"no ref", `{"type":"publish","content":"x"}`, "1008 /ref: is missing"},
		{"empty ref", `{"type":"publish","ref":"","content":"x"}`, "1008 /ref: must have 1 to 64 bytes"},
		{"long ref", `{"type":"publish","ref":"` + strings.Repeat("x", 65) + `","content":"x"}`, "1008 /ref: must have 1 to 64 bytes"},
		{"no content", `{"type":"publish","ref":"r"}`, "1008 exactly one of content and contentBase64 is needed"},
		{"two keys", `{"type":"publish","ref":"r","content":"x","key":"","keyBase64":""}`, "1008 only one of key and keyBase64 may be given"},
		{"base64", `{"type":"publish","ref":"r","contentBase64":"?"}`, "1007 /contentBase64: is not base64"},
		{"header that is no list", `{"type":"publish","ref":"r","content":"x","headers":{"a":"1"}}`, "1007 /headers: byte 57: an array is expected"},
		{"nameless header", `{"type":"publish","ref":"r","content":"x","headers":{"":["1"]}}`, "1008 /headers: a header has no name"},
		{"half a character", `{"type":"publish","ref":"\ud83d","content":"x"}`, `1007 /ref: byte 31: \u is not followed by a character`},
		{"control character", "{\"type\":\"publish\",\"ref\":\"\n\"}", "1007 /ref: byte 25: a control character must be escaped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := dialV1(t, fake.Serve(t, build(t, ""), &fake.Backend{}), "")
			sendV1(c, "%s", tt.send)
			code, text, _ := strings.Cut(tt.want, " ")
			key := map[string]string{"1007": "INVALID_FRAME", "1008": "PROTOCOL_VIOLATION"}[code]
			if f := nextV1(t, c); f.Type != "error" || f.Code != key || f.Message != text {
				t.Errorf("%+v", f)
			}
			if got := closeOf(t, c); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	t.Run("binary", func(t *testing.T) {
		t.Parallel()
		c := dialV1(t, fake.Serve(t, build(t, ""), &fake.Backend{}), "")
		_ = c.WriteMessage(lib.BinaryMessage, []byte("{}"))
		if got := closeOf(t, c); got != "1003 sluice.v1 has no binary frames" {
			t.Errorf("%q", got)
		}
	})
}

// Under at-most-once a message that was saved as delivered and not written is lost, and counted.
func TestV1_AtMostOnceEndsClean(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	s := fake.ServeLevel(t, build(t, ""), &fake.Backend{OnSubscribe: func(_ context.Context, _ *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
		sub.Open(o)
		return sub, nil
	}}, qos.AtMostOnce)
	c := dialV1(t, s, "")
	sub.Push(numbered(1, 1000, strings.Repeat("x", 1000))...)
	s.Stop(nil)
	n := uint64(0)
	for f := nextV1(t, c); f.Type != "goaway"; f = nextV1(t, c) {
		if n++; f.Seq != n {
			t.Fatalf("%d after %d", f.Seq, n)
		}
	}
	fake.Within(t, "close", sub.Closed)
	if got := int(n) + sub.Waiting(); got != 1000 {
		t.Errorf("%d messages were sent or are still there", got)
	}
}
