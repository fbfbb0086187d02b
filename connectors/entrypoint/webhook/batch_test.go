package webhook

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

func mixed() []message.Message {
	msgs := data("k", "-", "\xff", "d")
	msgs[0].Content = []byte("{\n \"a\": \"<&>\" }")
	msgs[0].Headers = []message.Header{{Name: "h", Value: []byte("v")}, {Name: "h", Value: []byte{0xfe}}}
	msgs[1].Content = []byte("plain\ntext")
	msgs[2].Content = []byte{0xff, 0xfe}
	msgs[3].Content = nil
	msgs[3].Topic = "a.b"
	return msgs
}

const lines = `{"id":"orders@0#0","key":"k","timestamp":1,"headers":[{"name":"h","value":"v"},{"name":"h","value":"/g==","base64":true}],"encoding":"json","content":{"a":"<&>"}}
{"id":"orders@0#1","timestamp":1,"encoding":"text","content":"plain\ntext"}
{"id":"orders@0#2","key":"/w==","keyBase64":true,"timestamp":1,"encoding":"base64","content":"//4="}
`

func TestBatch_Bodies(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for format, want := range map[string]string{formatNDJSON: lines, formatJSON: "[" + strings.ReplaceAll(strings.TrimSpace(lines), "\n", ",") + "]"} {
		r := newReceiver(t, nil)
		b := newBed(t, qos.AtLeastOnce, to(r.URL, `"signature":{"secrets":["`+secret+`"]}`, `"batch":{"maxMessages":3,"maxDelayMs":1,"format":"`+format+`"}`))
		if err := b.all(mixed()...); err != nil {
			t.Fatal(err)
		}
		calls := r.got()
		i := slices.IndexFunc(calls, func(c call) bool { return c.header.Get("webhook-id") == "orders@0#0+2" })
		if len(calls) != 2 || i < 0 {
			t.Fatalf("%s: got %+v", format, calls)
		}
		if c := calls[i]; c.body != want || c.header.Get("Content-Type") != mediaTypes[format] || c.header.Get("h") != "" {
			t.Errorf("%s: got %s of type %s\nwant %s", format, c.body, c.header.Get("Content-Type"), want)
		}
		if format == formatJSON && !json.Valid([]byte(calls[i].body)) {
			t.Errorf("no JSON: %s", calls[i].body)
		}
		if other := calls[1-i]; other.header.Get("webhook-id") != "a%2Eb@0#3" || !strings.Contains(other.body, `"id":"a%2Eb@0#3","key":"d","timestamp":1,"content":null`) {
			t.Errorf("%s: got %+v", format, other)
		}
		v, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			if err := v.Verify([]byte(c.body), c.header); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
		if acked := b.sub.Acknowledged(); len(acked) != 4 {
			t.Errorf("%s: acknowledged %v", format, acked)
		}
		for _, a := range b.told() {
			if a.Message == "orders@0#0" && a.Messages != 3 {
				t.Errorf("told %+v", a)
			}
		}
	}
}

// TestBatch_MadeUpIDs: without positions, each message has an id of its own all the same.
func TestBatch_MadeUpIDs(t *testing.T) {
	t.Parallel()
	for _, format := range []string{formatJSON, formatNDJSON} {
		r := newReceiver(t, nil)
		b := newBed(t, qos.AtLeastOnce, to(r.URL, `"batch":{"maxMessages":2,"format":"`+format+`"}`))
		msgs := data("a", "b")
		msgs[0].Origin, msgs[1].Origin = nil, nil
		if err := b.all(msgs...); err != nil {
			t.Fatal(err)
		}
		c := r.got()[0]
		id := c.header.Get("webhook-id")
		if len(r.got()) != 1 || !strings.HasPrefix(id, "msg_") || !strings.Contains(c.body, `"id":"`+id+`-0"`) || !strings.Contains(c.body, `"id":"`+id+`-1"`) {
			t.Errorf("%s: id %q, body %s", format, id, c.body)
		}
	}
}

// TestBatch_RefusedAsAWhole: each of its messages becomes a dead letter of its own.
func TestBatch_RefusedAsAWhole(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, status(422))
	b := newBed(t, qos.AtLeastOnce, to(r.URL, `"batch":{"maxMessages":3,"maxDelayMs":1}`))
	b.env.DeadLetters = true
	letters := &letters{}
	b.backend.OnDeadLetter = letters.take
	if err := b.all(data("a", "b", "c")...); err != nil {
		t.Fatal(err)
	}
	if got := letters.got(); len(got) != 3 || !strings.HasPrefix(got[1], `b|{"n":1}|`) {
		t.Errorf("got %q", got)
	}
}

func TestBatch_BoundedInBytes(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := newBed(t, qos.AtLeastOnce, to(r.URL, `"batch":{"maxMessages":1000,"maxBytes":2048,"maxDelayMs":1}`))
	msgs := data("a", "b", "c", "d", "e")
	for i := range msgs {
		msgs[i].Content = []byte(`"` + strings.Repeat("x", 800) + `"`)
	}
	msgs[2].Content = []byte(`"` + strings.Repeat("x", 5000) + `"`)
	if err := b.all(msgs...); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range r.got() {
		ids = append(ids, c.header.Get("webhook-id"))
	}
	if !slices.Equal(ids, []string{"orders@0#0+1", "orders@0#2", "orders@0#3+1"}) {
		t.Errorf("got %v", ids)
	}
}
