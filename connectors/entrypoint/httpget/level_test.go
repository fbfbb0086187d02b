package httpget_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors/entrypoint/httpget"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

type answer struct {
	Items []struct {
		ID string
	}
	Gaps       []struct{}
	Error      *struct{ ID, Content string }
	Pagination struct{ NextCursor, Limit string }
}

func decode(t *testing.T, body string) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return a
}

// Under the counted levels an entrypoint that cannot know what the client got says nothing: the next request's cursor is the
// proof, or the endpoint has saved already. Every page has the cursor to give.
func TestEntrypoint_CountedLevelsTellNothing(t *testing.T) {
	t.Parallel()
	scripts := map[string]func(*fake.Subscription){
		"messages": func(s *fake.Subscription) { s.Push(item(6, "6", "a"), item(7, "7", "b")); s.End(io.EOF) },
		"nothing":  func(s *fake.Subscription) { s.End(io.EOF) },
		"failure": func(s *fake.Subscription) {
			s.Push(item(6, "6", "a"), item(7, "7", "b"))
			s.End(&message.Failure{Status: 500, Message: "gone"})
		},
		"gap": func(s *fake.Subscription) {
			s.Push(item(6, "6", "a"), item(7, "7", "b"), message.Message{Kind: message.Gap, Content: []byte(`{"lost":1}`)})
			s.End(io.EOF)
		},
		"stop": func(s *fake.Subscription) {
			s.Push(item(6, "6", "a"), item(7, "7", "b"), message.Message{Kind: message.GoAway})
		},
	}
	for _, level := range []qos.Level{qos.AtMostOnce, qos.AtLeastOnce} {
		for name, script := range scripts {
			t.Run(level.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				sub := fake.NewSubscription()
				script(sub)
				s := fake.ServeLevel(t, build(t, ""), sub.Backend(), level)
				resp, body := s.Do(get("?cursor=5", "application/json"))
				a := decode(t, body)
				items, next := 2, "7"
				if name == "nothing" {
					items, next = 0, "5"
				}
				if resp.StatusCode != 200 || len(a.Items) != items || a.Pagination.NextCursor != next || sub.Options().Cursor != "5" ||
					(a.Error != nil) != (name == "failure" || name == "stop") || (len(a.Gaps) > 0) != (name == "gap") {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
				fake.Within(t, "close", sub.Closed)
				if sub.Delivered() != -1 || len(sub.Acknowledged()) > 0 {
					t.Errorf("delivered through %d, acknowledged %v", sub.Delivered(), sub.Acknowledged())
				}
			})
		}
	}
}

// Under at-most-once what was taken from the endpoint is saved and will not come again, so it must be in the page, and the
// page stays near its bound all the same.
func TestEntrypoint_AtMostOnceLosesNothingAtThePagesBound(t *testing.T) {
	t.Parallel()
	for _, size := range []int{300 << 10, 1 << 20, 3 << 20} {
		t.Run(fmt.Sprint(size>>10, " KiB"), func(t *testing.T) {
			t.Parallel()
			const messages = 40
			sub := fake.NewSubscription()
			content := []byte(strings.Repeat("x", size))
			for i := range messages {
				m := item(int64(i), fmt.Sprint(i), "")
				m.Content = content
				sub.Push(m)
			}
			sub.End(io.EOF)
			s := fake.ServeLevel(t, build(t, ""), sub.Backend(), qos.AtMostOnce)
			_, body := s.Do(get("", "*/*"))
			a := decode(t, body)
			taken := messages - sub.Waiting()
			if len(a.Items) != taken || a.Pagination.NextCursor != fmt.Sprint(taken-1) {
				t.Errorf("%d items of %d taken, cursor %s", len(a.Items), taken, a.Pagination.NextCursor)
			}
			if most := 8<<20 + 8*size; len(body) > most {
				t.Errorf("a page of %d bytes, at most %d expected", len(body), most)
			}
		})
	}
}

// A long poll ends with its time and tells where it is, whatever the number in the definition looks like.
func TestEntrypoint_DurationEndsThePage(t *testing.T) {
	t.Parallel()
	for cfg, want := range map[string]time.Duration{
		`{}`: 5 * time.Second, `{"messagesLimitDurationMs":1500.5}`: 1500*time.Millisecond + 500*time.Microsecond,
		`{"messagesLimitDurationMs":"2e3"}`: 2 * time.Second, `{"messagesLimitDurationMs":0}`: 30 * time.Second,
		`{"messagesLimitDurationMs":1e300}`: 30 * time.Second,
	} {
		t.Run(cfg, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sub := fake.NewSubscription()
				e, err := httpget.New([]byte(cfg), fake.Env())
				if err != nil {
					t.Fatal(err)
				}
				var fctx fasthttp.RequestCtx
				fctx.Request.SetRequestURI("/?from=earliest")
				fctx.Request.Header.Set("Accept", "application/json")
				begun := time.Now()
				e.Handle(t.Context(), &exchange.Exchange{HTTP: &fctx, QoS: qos.AtLeastOnce}, sub.Backend())
				if took := time.Since(begun); took != want || string(fctx.Response.Body()) != `{"items":[],"pagination":{"nextCursor":"earliest"}}` {
					t.Errorf("%s after %v, want %v", fctx.Response.Body(), took, want)
				}
			})
		})
	}
}
