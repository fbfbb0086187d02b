package httppost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/httppost"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

const (
	typeLines    = "Content-Type: application/x-ndjson\r\n"
	typeElements = "Content-Type: application/vnd.sluice.batch+json\r\n"
	typeEnvLines = "Content-Type: application/vnd.sluice.batch+ndjson\r\n"
	positions    = "Prefer: return=representation\r\n"
)

// broker takes messages, describes each as text, and answers as it is told.
type broker struct {
	mu   sync.Mutex
	got  []string
	each func(i int, m *message.Message) error // nil: all is stored at topic "t", partition 7, offset 100+i
}

func (b *broker) backend() *fake.Backend {
	return &fake.Backend{OnPublish: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
		b.mu.Lock()
		i := len(b.got)
		b.got = append(b.got, describe(m))
		b.mu.Unlock()
		if b.each == nil {
			m.Topic, m.Partition, m.Offset = "t", 7, int64(100+i)
			m.Done(nil)
			return
		}
		m.Done(b.each(i, m))
	}}
}

func (b *broker) messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.got...)
}

func describe(m *message.Message) string {
	text := "-"
	if m.Content != nil {
		text = fmt.Sprintf("%q", m.Content)
	}
	if m.Key != nil {
		text = string(m.Key) + "=" + text
	}
	for _, h := range m.Headers {
		text += " " + h.Name + ":" + string(h.Value)
	}
	if topic, ok := m.Attributes["kafka.topics"]; ok {
		text += fmt.Sprint(" ", topic, m.Attributes["mqtt5.topic"])
	}
	return text
}

func TestEntrypoint_Batches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, cfg, headers, body string
		want                     []string
	}{
		{"an array that is no batch", "", "Content-Type: application/json\r\n", `[1,2]`, []string{`"[1,2]"`}},
		{"no type", "", "", "a\nb", []string{`"a\nb"`}},
		{"lines", "", typeLines, "{\"a\":1}\r\n\n  2 \n\"x\"", []string{`"{\"a\":1}"`, `"2"`, `"\"x\""`}},
		{"lines, type with parameters and capitals", "", "Content-Type: Application/X-NDJSON; charset=utf-8\r\n", "1\n2\n", []string{`"1"`, `"2"`}},
		{"lines of elements are no elements there", "", typeLines, `{"content":"x"}`, []string{`"{\"content\":\"x\"}"`}},
		{"switched off", `{"batches":false}`, typeLines, "1\n2", []string{`"1\n2"`}},
		{"elements", "", typeElements, ` [ {"content":"a"}, {"value":"b","key":"k"}, {"content":{"x": [1]}}, {"content":7} ] `,
			[]string{`"a"`, `k="b"`, `"{\"x\": [1]}"`, `"7"`}},
		{"text keeps what it escapes", "", typeElements, `[{"content":"a\n\u20ac\"","key":"é"}]`, []string{`é="a\n€\""`}},
		{"absent and empty content", "", typeElements, `[{"content":null,"key":"gone"},{"content":""},{"content":false}]`, []string{`gone=-`, `""`, `"false"`}},
		{"bytes", "", typeElements, `[{"contentBase64":"AP8=","keyBase64":"AQ=="},{"contentBase64":""}]`, []string{"\x01=" + `"\x00\xff"`, `""`}},
		{"headers in order", "", typeElements, `[{"content":"a","headers":{"z":"1","a":["2","3"],"n":[]}},{"content":"b","headers":null}]`, []string{`"a" z:1 a:2 a:3`, `"b"`}},
		{"topics that may be named", `{"batchTopics":["x","a,b"]}`, typeElements, `[{"content":"a","topic":"x"},{"content":"b","topic":"a,b"},{"content":"c"}]`,
			[]string{`"a" [x]x`, `"b" [a,b]a,b`, `"c"`}},
		{"lines of elements", "", typeEnvLines, "{\"content\":\"a\"}\n\n{\"content\":\"b\",\"key\":null}\n", []string{`"a"`, `"b"`}},
		{"request headers and own ones", `{"requestHeadersToMessage":true}`, typeElements + "X-A: 1\r\n", `[{"content":"a","headers":{"own":"2"}}]`,
			[]string{`"a" Host:h Content-Length:39 Content-Type:application/vnd.sluice.batch+json X-A:1 own:2`}},
		{"nothing", "", typeElements, `[]`, nil},
		{"blank lines", "", typeLines, "\n \r\n", nil},
		{"as many as allowed", `{"batchMaxMessages":2}`, typeLines, "1\n2\n", []string{`"1"`, `"2"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &broker{}
			s := fake.Serve(t, build(t, tt.cfg, nil), b.backend())
			resp, body := s.Do(post(tt.body, tt.headers))
			if resp.StatusCode != 202 || body != "" {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			if diff := cmp.Diff(tt.want, b.messages()); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEntrypoint_BatchesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 20000)
	tests := []struct {
		name, cfg, headers, body string
		status                   int
		want                     string
	}{
		{"line", "", typeLines, "1\n\n{\n}\n", 400, "Invalid batch: line 3: is not JSON; nothing was stored"},
		{"too many lines", `{"batchMaxMessages":2}`, typeLines, "1\n2\n3", 413, "Batch too large: more than 2 messages; nothing was stored"},
		{"too many elements", `{"batchMaxMessages":1}`, typeElements, `[{"content":1},{"content":2}]`, 413, "Batch too large: more than 1 messages; nothing was stored"},
		{"no array", "", typeElements, `{"content":1}`, 400, "Invalid batch: must be a JSON array; nothing was stored"},
		{"no JSON", "", typeElements, `hello`, 400, "Invalid batch: must be a JSON array; nothing was stored"},
		{"no end", "", typeElements, `[{"content":1}`, 400, "Invalid batch: the array does not end; nothing was stored"},
		{"more than an array", "", typeElements, `[{"content":1}] 2`, 400, "Invalid batch: something follows the array; nothing was stored"},
		{"no object", "", typeElements, `[{"content":1},"x"]`, 400, "Invalid batch: /1: must be an object with content; nothing was stored"},
		{"no content", "", typeElements, `[{"key":"k"}]`, 400, "Invalid batch: /0: has no content; nothing was stored"},
		{"two contents", "", typeElements, `[{"content":1,"value":1}]`, 400, "Invalid batch: /0: content and value are the same, only one may be there; nothing was stored"},
		{"content twice", "", typeElements, `[{"content":1,"contentBase64":""}]`, 400, "Invalid batch: /0: only one of content and contentBase64 may be there; nothing was stored"},
		{"misspelled", "", typeElements, `[{"content":1,"kee":"k"}]`, 400, `Invalid batch: /0: json: unknown field "kee"; nothing was stored`},
		{"key that is no text", "", typeElements, `[{"content":1,"key":5}]`, 400, "Invalid batch: /0: key must be text; nothing was stored"},
		{"key that is no base64", "", typeElements, `[{"content":1,"keyBase64":5}]`, 400, "Invalid batch: /0: keyBase64 must be text; nothing was stored"},
		{"bad base64", "", typeElements, `[{"contentBase64":"=="}]`, 400, "Invalid batch: /0: contentBase64: illegal base64 data at input byte 0; nothing was stored"},
		{"headers that are none", "", typeElements, `[{"content":1,"headers":["a"]}]`, 400, "Invalid batch: /0: headers must be an object; nothing was stored"},
		{"header that is no text", "", typeElements, `[{"content":1,"headers":{"a":[1]}}]`, 400, `Invalid batch: /0: header "a" must be text or a list of texts; nothing was stored`},
		{"header without name", "", typeElements, `[{"content":1,"headers":{"":"1"}}]`, 400, "Invalid batch: /0: a header has no name; nothing was stored"},
		{"too many headers", "", typeElements, `[{"content":1,"headers":{"a":["` + strings.Repeat(`","`, 1000) + `"]}}]`, 400, "Invalid batch: /0: more than 1000 headers; nothing was stored"},
		{"topic that may not be named", `{"batchTopics":["x"]}`, typeElements, `[{"content":1,"topic":"y"}]`, 400, `Invalid batch: /0: topic "y" is not among those that may be named here (batchTopics); nothing was stored`},
		{"not UTF-8", "", typeEnvLines, "{\"content\":\"\xff\"}", 400, "Invalid batch: line 1: is not UTF-8; bytes go into contentBase64 and keyBase64; nothing was stored"},
		{"two objects in a line", "", typeEnvLines, `{"content":1}{"content":2}`, 400, "Invalid batch: line 1: something follows the object; nothing was stored"},
		{"too deep", "", typeElements, `[{"content":` + deep, 400, "Invalid batch: /0: invalid character '[' exceeded max depth; nothing was stored"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &broker{}
			s := fake.Serve(t, build(t, tt.cfg, nil), b.backend())
			resp, body := s.Do(post(tt.body, tt.headers+"Idempotency-Key: k\r\n"))
			if resp.StatusCode != tt.status || body != tt.want || len(b.messages()) > 0 {
				t.Errorf("%d %s, published %v", resp.StatusCode, body, b.messages())
			}
		})
	}
}

// A 2xx says that everything is stored. Else each message's fate is told, and the status is the worst.
func TestEntrypoint_BatchResults(t *testing.T) {
	t.Parallel()
	unknown := &message.Failure{Status: 504, Key: message.KeyOutcomeUnknown, Message: "may or may not", Unknown: true}
	refused := &message.Failure{Status: 412, Key: "P", Message: `no "x"`}
	tests := []struct {
		name, headers string
		level         qos.Level
		errs          []error
		status        int
		want          string
	}{
		{"all", "", qos.Auto, []error{nil, nil}, 202, ""},
		{"all, minimal", "Prefer: return=minimal\r\n", qos.Auto, []error{nil}, 202, ""},
		{"all, described", positions, qos.Auto, []error{nil, nil}, 202,
			`{"stored":2,"refused":0,"unknown":0,"messages":[{"index":0,"result":"stored","topic":"t","partition":7,"offset":100},{"index":1,"result":"stored","topic":"t","partition":7,"offset":101}]}`},
		{"under none", positions, qos.None, []error{nil}, 202, `{"stored":0,"buffered":1,"refused":0,"unknown":0,"messages":[{"index":0,"result":"buffered","topic":"t","partition":7,"offset":100}]}`},
		{"some", "", qos.Auto, []error{nil, refused, nil}, 412,
			`{"message":"1 of 3 messages were not stored, or it is unknown whether they were","http_status_code":412,"stored":2,"refused":1,"unknown":0,"messages":[` +
				`{"index":0,"result":"stored","topic":"t","partition":7,"offset":100},{"index":1,"result":"refused","status":412,"key":"P","message":"no \"x\""},` +
				`{"index":2,"result":"stored","topic":"t","partition":7,"offset":102}]}`},
		{"the worst decides", "", qos.Auto, []error{refused, unknown, errors.New("secret")}, 504,
			`{"message":"3 of 3 messages were not stored, or it is unknown whether they were","http_status_code":504,"stored":0,"refused":2,"unknown":1,"messages":[` +
				`{"index":0,"result":"refused","status":412,"key":"P","message":"no \"x\""},` +
				`{"index":1,"result":"unknown","status":504,"key":"FAILURE_ENDPOINT_PUBLISH_OUTCOME_UNKNOWN","message":"may or may not"},` +
				`{"index":2,"result":"refused","status":500,"message":"Internal Server Error"}]}`},
		{"a failure that claims success", "", qos.Auto, []error{nil, &message.Failure{Status: 200, Message: "odd"}}, 503,
			`{"message":"1 of 2 messages were not stored, or it is unknown whether they were","http_status_code":503,"stored":1,"refused":1,"unknown":0,"messages":[` +
				`{"index":0,"result":"stored","topic":"t","partition":7,"offset":100},{"index":1,"result":"refused","status":503,"message":"odd"}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &broker{each: func(i int, m *message.Message) error {
				m.Topic, m.Partition, m.Offset = "t", 7, int64(100+i)
				return tt.errs[i]
			}}
			s := fake.ServeLevel(t, build(t, "", nil), b.backend(), tt.level)
			resp, body := s.Do(post(strings.Repeat("1\n", len(tt.errs)), typeLines+tt.headers))
			if resp.StatusCode != tt.status || resp.Close != (tt.status >= 500) {
				t.Errorf("status %d, close %v", resp.StatusCode, resp.Close)
			}
			if diff := cmp.Diff(tt.want, body); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if body != "" && (!json.Valid([]byte(body)) || resp.Header.Get("Content-Type") != "application/json") {
				t.Errorf("%v", resp.Header)
			}
			if (resp.Header.Get("Preference-Applied") != "") != (tt.headers == positions) {
				t.Errorf("%v", resp.Header)
			}
		})
	}
}

// A single message is described too where that is preferred; its failures are as they always were.
func TestEntrypoint_SingleDescribed(t *testing.T) {
	t.Parallel()
	stored := `{"stored":1,"refused":0,"unknown":0,"messages":[{"index":0,"result":"stored","topic":"t","partition":7,"offset":100}]}`
	tests := []struct {
		name, cfg, headers string
		err                error
		status             int
		want               string
	}{
		{"preferred", "", positions, nil, 202, stored},
		{"preferred among others", "", "Prefer: wait=5, Return=Representation;x=y\r\n", nil, 202, stored},
		{"in a second line", "", "Prefer: wait=5\r\n" + positions, nil, 202, stored},
		{"configured", `{"returnRepresentation":true}`, "", nil, 202, stored},
		{"configured, not preferred", `{"returnRepresentation":true}`, "Prefer: return=minimal\r\n", nil, 202, ""},
		{"other preferences", "", "Prefer: respond-async\r\n", nil, 202, ""},
		{"failure", "", positions, &message.Failure{Status: 412, Message: "no"}, 412, "no"},
		{"unknown", "", positions + "Accept: */*\r\n", &message.Failure{Status: 504, Message: "late", Unknown: true}, 504,
			`{"message":"late; it is unknown whether the message was stored","http_status_code":504}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &broker{}
			if tt.err != nil {
				b.each = func(int, *message.Message) error { return tt.err }
			}
			resp, body := fake.Serve(t, build(t, tt.cfg, nil), b.backend()).Do(post("[1]", tt.headers))
			if resp.StatusCode != tt.status || body != tt.want {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

// When the time is over, what was handed on is unknown, and what was not is not stored.
func TestEntrypoint_BatchOutOfTime(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]bool{"time": false, "stop": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pending := make(chan *message.Message, 1)
			entered := make(chan struct{})
			n := 0
			e := build(t, "", func(l *connectors.Limits) { l.RequestTimeout = 300 * time.Millisecond })
			s := fake.Serve(t, e, &fake.Backend{OnPublish: func(ctx context.Context, _ *exchange.Exchange, m *message.Message) {
				switch n++; n {
				case 1:
					m.Done(nil)
				case 2:
					pending <- m
				case 3: // no room until the time is over
					close(entered)
					<-ctx.Done()
					m.Done(&message.Failure{Status: 503, Key: message.KeyBufferFull, Message: "full"})
				default:
					t.Error("published when it was too late")
				}
			}})
			answer := make(chan string, 1)
			go func() {
				resp, body := s.Do(post("1\n2\n3\n4\n5\n", typeLines))
				answer <- fmt.Sprint(resp.StatusCode, " ", body)
			}()
			fake.Within(t, "publish", entered)
			late := `"key":"REQUEST_TIMEOUT","message":"not stored: the request's time was over before it was its turn"`
			if stop {
				s.Stop(nil)
				late = `"key":"goaway","message":"Stopping, please reconnect"`
			}
			want := `504 {"message":"4 of 5 messages were not stored, or it is unknown whether they were","http_status_code":504,"stored":1,"refused":3,"unknown":1,"messages":[` +
				`{"index":0,"result":"stored"},{"index":1,"result":"unknown","status":504,"key":"FAILURE_ENDPOINT_PUBLISH_OUTCOME_UNKNOWN","message":"Request timeout: no acknowledgement in time"},` +
				`{"index":2,"result":"refused","status":503,"key":"FAILURE_ENDPOINT_BUFFER_FULL","message":"full"},` +
				`{"index":3,"result":"refused","status":503,` + late + `},{"index":4,"result":"refused","status":503,` + late + `}]}`
			if diff := cmp.Diff(want, <-answer); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			(<-pending).Done(nil) // late, and nobody listens
		})
	}
}

func TestType_CheckOptions(t *testing.T) {
	t.Parallel()
	got := httppost.Type.Check([]byte(`{"batchMaxMessages":0,"idempotencyWindowMs":-1,"batchTopics":["a",""]}`))
	if len(got.Errors()) != 3 {
		t.Errorf("%v", got)
	}
	if p := httppost.Type.Check([]byte(`{"batchMaxMessages":10001,"idempotencyWindowMs":86400001}`)); len(p.Errors()) != 2 {
		t.Errorf("%v", p)
	}
}

// A message of a batch costs nothing beyond what the batch costs as a whole.
func TestEntrypoint_BatchAllocations(t *testing.T) {
	if fake.Race {
		t.Skip("sync.Pool drops items under the race detector")
	}
	e := build(t, "", nil)
	per := func(n int) float64 {
		var fctx fasthttp.RequestCtx
		fctx.Request.Header.SetMethod(http.MethodPost)
		fctx.Request.Header.SetContentType("application/x-ndjson")
		fctx.Request.SetBody(bytes.Repeat([]byte("{\"a\":1}\n"), n))
		x := &exchange.Exchange{HTTP: &fctx}
		b := &fake.Backend{}
		return testing.AllocsPerRun(200, func() { e.Handle(t.Context(), x, b) })
	}
	few, many := per(10), per(1000)
	t.Logf("%.0f allocations for a batch of 10, %.0f for 1000", few, many)
	if (many-few)/990 > 0.05 {
		t.Errorf("%.2f allocations per message", (many-few)/990)
	}
}
