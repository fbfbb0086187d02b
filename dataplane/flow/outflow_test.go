package flow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
)

// topic is a topic of one partition that all its readers share.
type topic struct {
	batch message.Batch
	run   []message.Message
}

// newTopic returns a topic of n messages at the offsets 0, 1 ..., whose content is the offset and whose id is "id" and that.
func newTopic(n int) *topic {
	out := &topic{run: make([]message.Message, n)}
	for i := range out.run {
		out.run[i] = message.Message{Topic: "t", Offset: int64(i), Content: fmt.Append(nil, i), ID: fmt.Appendf(nil, "id%d", i),
			Headers: []message.Header{{Name: "n", Value: fmt.Append(nil, i%10)}}}
	}
	return out
}

// reader is a place in a topic.
type reader struct {
	*topic
	at       int
	step     int // most messages of one poll; 0: what is asked for
	reported []string
}

func (r *reader) PollView(most int) (message.View, error) {
	if r.step > 0 {
		most = min(most, r.step)
	}
	v := message.View{Batch: &r.batch, Run: r.run, From: r.at, To: min(r.at+most, len(r.run))}
	r.at = v.To
	return v, nil
}

func (r *reader) Poll(most int) ([]message.Message, error) {
	v, err := r.PollView(most)
	return v.Messages(), err
}

func (r *reader) DeliveredThrough(m *message.Message) {
	r.reported = append(r.reported, fmt.Sprintf("through %d", m.Offset))
}

func (r *reader) Acknowledge(m *message.Message) {
	r.reported = append(r.reported, fmt.Sprintf("ack %d", m.Offset))
}
func (r *reader) AppendCursor(dst []byte) []byte { return fmt.Appendf(dst, "id%d", r.at-1) }
func (r *reader) Close(context.Context)          {}

// on deploys an API at a level on a topic, and returns a function that opens a subscription.
func (s *stage) on(level string, log *topic, step int) (open func() (connectors.Subscription, *reader)) {
	s.t.Helper()
	s.def.Listeners[0].Entrypoints[1].QoS = level
	s.def.EndpointGroups[0].Type, s.def.EndpointGroups[0].Endpoints[0].Type = "kafka", "kafka"
	var last *reader
	s.source = func(connectors.SubscribeOptions) connectors.Subscription {
		last = &reader{topic: log, step: step}
		return last
	}
	s.deploy()
	return func() (connectors.Subscription, *reader) {
		s.ask("GET", "/", "")
		if s.err != nil {
			s.t.Fatal(s.err)
		}
		return s.sub, last
	}
}

// drain polls until all of the topic was looked at, which the cursor tells, and returns the contents.
func drain(sub connectors.Subscription, r *reader, wait func()) (got []string, err error) {
	end := fmt.Sprintf("id%d", len(r.run)-1)
	for {
		v, err := sub.(connectors.Viewer).PollView(64)
		for _, m := range v.Messages() {
			got = append(got, string(m.Content))
		}
		if err != nil || v.Len() == 0 && string(sub.AppendCursor(nil)) == end {
			return got, err
		}
		if v.Len() == 0 && wait != nil {
			wait()
		}
	}
}

// TestOutflow_SharedChainRunsOncePerMessage: however many subscribers there are, where nothing depends on them.
func TestOutflow_SharedChainRunsOncePerMessage(t *testing.T) {
	t.Parallel()
	const subscribers, messages = 1_000, 50
	for _, c := range []struct {
		name, traits string
		condition    string
		runs         int64
		shares       bool
	}{
		{"shared", `"shared":true`, "", messages, true},
		{"shared filter", `"shared":true,"filter":true`, "", messages, true},
		{"shared, condition on the message", `"shared":true`, "{#message.headers['n'][0] != 'x'}", messages, true},
		{"shared, condition on the client", `"shared":true`, "{#request.headers['x'] == null}", subscribers * messages, false},
		{"not shared", `"shared":false`, "", subscribers * messages, false},
		{"a filter of each", `"filter":true`, "", subscribers * messages, true},
	} {
		s := newStage(t).flows(`[{"subscribe":[{"policy":"tag","messageCondition":"` + c.condition + `","configuration":{"name":"!",` + c.traits + `}}]}]`)
		open := s.on("none", newTopic(messages), 0)
		batches := map[*message.Batch]bool{}
		for range subscribers {
			sub, _ := open()
			v, err := sub.(connectors.Viewer).PollView(messages)
			if err != nil || v.Len() != messages {
				t.Fatalf("%s: %d messages, %v", c.name, v.Len(), err)
			}
			batches[v.Batch] = true
		}
		if got := s.runs.Load(); got != c.runs {
			t.Errorf("%s: %d runs, want %d", c.name, got, c.runs)
		}
		if shares := len(batches) == 1 && !batches[nil]; shares != c.shares {
			t.Errorf("%s: %d batches, frames shared %v, want %v", c.name, len(batches), shares, c.shares)
		}
	}
}

// TestOutflow_KeepsOrder: whatever is dropped, passes a step by or is changed, and however it is run.
func TestOutflow_KeepsOrder(t *testing.T) {
	for _, traits := range []string{`"shared":true`, `"filter":true`, `"shared":false`, `"blocks":true`} {
		t.Run(traits, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				kept := rapid.SliceOfDistinct(rapid.IntRange(0, 9), rapid.ID[int]).Draw(rt, "kept")
				bypass := rapid.IntRange(0, 9).Draw(rt, "bypass")
				n, step := rapid.IntRange(1, 300).Draw(rt, "messages"), rapid.IntRange(1, 100).Draw(rt, "step")
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t).flows(fmt.Sprintf(`[{"subscribe":[
{"policy":"message-filtering","configuration":{"filter":"{({%s}).contains(#message.headers['n'][0])}"}},
{"policy":"tag","messageCondition":"{#message.headers['n'][0] != '%d'}","configuration":{"name":"!",%s}}]}]`, quoted(kept), bypass, traits))
					sub, r := s.on("auto", newTopic(n), step)()
					got, err := drain(sub, r, synctest.Wait)
					var want []string
					for i := range n {
						if slices.Contains(kept, i%10) {
							text := fmt.Sprint(i)
							if i%10 != bypass && !strings.Contains(traits, "filter") {
								text += "!"
							}
							want = append(want, text)
						}
					}
					if diff := cmp.Diff(want, got); diff != "" || err != nil {
						t.Errorf("%v (-want +got):\n%s", err, diff)
					}
					sub.Close(context.Background())
				})
			})
		})
	}
}

func quoted(numbers []int) string {
	var out []string
	for _, n := range numbers {
		out = append(out, fmt.Sprintf("'%d'", n))
	}
	return strings.Join(append(out, "'none'"), ",")
}

// TestOutflow_ReportsWhatIsDropped: dropped messages are done with, but never before what precedes them.
func TestOutflow_ReportsWhatIsDropped(t *testing.T) {
	t.Parallel()
	for _, traits := range []string{`"shared":true`, `"filter":true`, `"shared":false`} {
		for level, want := range map[string][]string{
			"auto":          {"through 3", "through 5"},
			"at-least-once": {"ack 1", "ack 3", "through 2", "ack 5", "through 4"},
			"none":          {"through 2", "through 4"},
		} {
			s := newStage(t).flows(`[{"subscribe":[{"policy":"tag","configuration":{"dropOdd":true,` + traits + `}}]}]`)
			sub, r := s.on(level, newTopic(6), 4)()
			for range 2 {
				var last *message.Message
				for {
					out, err := sub.Poll(10)
					if err != nil {
						t.Fatal(err)
					}
					if len(out) == 0 {
						break
					}
					if last = &out[len(out)-1]; last.Offset == 2 || last.Offset == 4 {
						break
					}
				}
				if last != nil {
					sub.DeliveredThrough(last)
				}
			}
			if diff := cmp.Diff(want, r.reported); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", level, traits, diff)
			}
		}
	}
}

// TestOutflow_AllDropped: a checkpoint moves although the client gets nothing, and so does the resume point.
func TestOutflow_AllDropped(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"subscribe":[{"policy":"message-filtering","configuration":{"filter":"{#message.content == 'none'}"}}]}]`)
	sub, r := s.on("auto", newTopic(5_000), 128)()
	for r.at < 5_000 {
		if out, err := sub.Poll(64); len(out) > 0 || err != nil {
			t.Fatal(out, err)
		}
	}
	if s.woken.Load() == 0 {
		t.Error("a long run of dropped messages was not taken in turns")
	}
	if got := string(sub.AppendCursor(nil)); got != "id4999" {
		t.Errorf("cursor %s", got)
	}
	if got := r.reported[len(r.reported)-1]; got != "through 4999" {
		t.Errorf("reported %s", got)
	}
}

func TestOutflow_HeldMessageHoldsTheCheckpoint(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"subscribe":[{"policy":"tag","configuration":{"holdAt":2,"filter":true}}]}]`)
	sub, r := s.on("auto", newTopic(6), 0)()
	for {
		out, err := sub.Poll(10)
		if err != nil {
			t.Fatal(err)
		}
		if len(out) == 0 {
			break
		}
		for i := range out {
			if out[i].Offset == 2 {
				t.Error("the held message was given to the client")
			}
			sub.DeliveredThrough(&out[i])
		}
	}
	for _, what := range r.reported {
		if what > "through 1" {
			t.Errorf("reported %v, which passes the held message", r.reported)
		}
	}
}

func TestOutflow_FailureEndsTheStreamInItsPlace(t *testing.T) {
	t.Parallel()
	for _, traits := range []string{`"shared":true`, `"filter":true`, `"shared":false`} {
		s := newStage(t).flows(`[{"subscribe":[{"policy":"tag","name":"s","configuration":{"failAt":3,` + traits + `}}]}]`)
		sub, r := s.on("auto", newTopic(6), 0)()
		got, err := drain(sub, r, nil)
		var f *message.Failure
		if !errors.As(err, &f) || f.Key != "TEAPOT" || !strings.Contains(f.Error(), `policy tag (step "s")`) {
			t.Errorf("%s: ended with %v", traits, err)
		}
		if diff := cmp.Diff([]string{"0", "1", "2"}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", traits, diff)
		}
		if cursor := string(sub.AppendCursor(nil)); cursor != "id2" {
			t.Errorf("%s: cursor %s, want that before the failure", traits, cursor)
		}
	}
}

func TestOutflow_End(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"subscribe":[{"policy":"tag","configuration":{"endAt":2,"shared":true}}]}]`)
	sub, r := s.on("auto", newTopic(6), 0)()
	if got, err := drain(sub, r, nil); !errors.Is(err, io.EOF) || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

// TestOutflow_FilterOfTheSubscription: the example of the guides, for a subscriber whose metadata says what it wants, and for
// one whose metadata is the filter.
func TestOutflow_FilterOfTheRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"subscribe":[{"policy":"message-filtering","configuration":{"filter":"{#message.headers.n == #request.headers['x-n'][0]}"}},
{"policy":"message-filtering","configuration":{"filter":"{#request.headers['x-filter'][0]}"}}]}]`)
	s.on("auto", newTopic(40), 0)
	s.ask("GET", "/", "", "X-N", "7", "X-Filter", "{#message.content != '17'}")
	out, err := s.sub.Poll(100)
	var got [][]byte
	for len(out) > 0 && err == nil {
		for _, m := range out {
			got = append(got, m.Content)
		}
		out, err = s.sub.Poll(100)
	}
	if text := string(bytes.Join(got, []byte(" "))); text != "7 27 37" || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

// TestOutflow_SharedMessagesStayAsTheyAre: a policy that changes messages changes copies.
func TestOutflow_SharedMessagesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, traits := range []string{`"shared":true`, `"shared":false`} {
		log := newTopic(4)
		s := newStage(t).flows(`[{"subscribe":[{"policy":"tag","configuration":{"name":"!",` + traits + `}},
{"policy":"transform-headers","configuration":{"addHeaders":[{"name":"N","value":"{#message.content}"}],"removeHeaders":["x"]}}]}]`)
		sub, _ := s.on("auto", log, 0)()
		out, err := sub.Poll(10)
		if err != nil || len(out) != 4 || string(out[1].Content) != "1!" || fmt.Sprintf("%s", out[1].Headers) != "[{N 1!}]" || string(out[1].ID) != "id1" {
			t.Errorf("%s: %v, %v", traits, err, out)
		}
		if diff := cmp.Diff(newTopic(4).run, log.run, cmp.AllowUnexported(message.Message{})); diff != "" {
			t.Errorf("%s: the shared messages changed:\n%s", traits, diff)
		}
	}
}

// TestOutflow_BlockingStepsRunBesideThePoll: one after the other, and what waits ends with the subscription.
func TestOutflow_BlockingStepsRunBesideThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t).flows(`[{"subscribe":[{"policy":"latency","configuration":{"time":1,"timeUnit":"SECONDS"}}]}]`)
		sub, r := s.on("auto", newTopic(5), 0)()
		if out, err := sub.Poll(10); len(out) > 0 || err != nil {
			t.Fatal(out, err)
		}
		if cursor := string(sub.AppendCursor(nil)); cursor != "id-1" {
			t.Errorf("cursor %s while nothing is through", cursor)
		}
		var got []string
		for range 3 {
			time.Sleep(time.Second) // of the bubble's clock
			synctest.Wait()
			out, err := sub.Poll(10)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range out {
				got = append(got, string(m.Content))
			}
		}
		if diff := cmp.Diff([]string{"0", "1", "2"}, got); diff != "" || r.at != 5 {
			t.Errorf("after three waits (-want +got), %d read:\n%s", r.at, diff)
		}
		sub.Close(context.Background())
	})
}
