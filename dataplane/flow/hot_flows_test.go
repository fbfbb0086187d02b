//go:build !race

package flow_test

import (
	"context"
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// quiet is a reader that reports nothing, so that what is counted is ours.
type quiet struct{ *reader }

func (quiet) DeliveredThrough(*message.Message) {}
func (quiet) Acknowledge(*message.Message)      {}

// again deploys flows on a topic and returns a function that polls all of it once more, for a subscriber who begins anew.
func (s *stage) again(t testing.TB, flows string, log *topic) func() {
	t.Helper()
	s.flows(flows)
	open := s.on("none", log, 0)
	r := &reader{topic: log}
	inner := s.source
	s.source = func(o connectors.SubscribeOptions) connectors.Subscription { inner(o); return quiet{r} }
	sub, _ := open()
	return func() {
		r.at = 0
		for r.at < len(r.run) {
			if _, err := sub.(connectors.Viewer).PollView(128); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const headerFilter = `{"policy":"message-filtering","configuration":{"filter":"{#message.headers['n'][0] != '5'}"}}`

func TestOutflow_AllocatesNothingPerMessage(t *testing.T) {
	for _, c := range []struct{ name, flows string }{
		{"empty chain", `[{"subscribe":[]}]`},
		{"disabled step", `[{"subscribe":[{"enabled":false,"policy":"message-filtering","configuration":{}}]}]`},
		{"shared header filter", `[{"subscribe":[` + headerFilter + `]}]`},
		{"header filter of one client", `[{"subscribe":[{"policy":"message-filtering","configuration":{"filter":"{#message.headers['n'][0] != #request.headers['x'][0]}","filterMessageOnFilteringError":false}}]}]`},
	} {
		poll := newStage(t).again(t, c.flows, newTopic(512))
		poll() // makes what is shared
		if n := testing.AllocsPerRun(100, poll); n != 0 {
			t.Errorf("%s: %v allocations per 512 messages", c.name, n)
		}
	}
}

// TestOutflow_SharedFilterAllocatesPerBatch: who runs a shared filter makes the run, and nothing per message.
func TestOutflow_SharedFilterAllocatesPerBatch(t *testing.T) {
	log := newTopic(512)
	poll := newStage(t).again(t, `[{"subscribe":[`+headerFilter+`]}]`, log)
	if n := testing.AllocsPerRun(50, func() { log.batch = message.Batch{}; poll() }); n > 10 {
		t.Errorf("%v allocations per batch of 512 messages", n)
	}
}

// TestAdmit_AllocatesNothing: publishing behind a filter of the header.
func TestAdmit_AllocatesNothing(t *testing.T) {
	s := newStage(t).flows(`[{"publish":[` + headerFilter + `]}]`)
	s.capture = func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
		if n := testing.AllocsPerRun(100, func() {
			m := message.Get()
			m.Headers = append(m.Headers, message.Header{Name: "n", Value: []byte("5")})
			b.Publish(ctx, x, m) // dropped: the endpoint's fake allocates
			m.Release()
		}); n > 1 { // the value above
			t.Errorf("%v allocations", n)
		}
	}
	s.deploy().ask("POST", "/", "")
}

func BenchmarkOutflow(b *testing.B) {
	five := headerFilter + `,` + headerFilter + `,{"policy":"transform-headers","configuration":{"addHeaders":[{"name":"a","value":"{#message.headers['n'][0]}"}]}},
{"policy":"policy-assign-attributes","configuration":{"attributes":[{"name":"n","value":"{#message.headers['n'][0]}"}]}},
{"policy":"json-validation","configuration":{"schema":"{\"type\":\"integer\"}"}}`
	perClient := `{"policy":"message-filtering","configuration":{"filter":"{#message.headers['n'][0] != #request.headers['x'][0]}","filterMessageOnFilteringError":false}}`
	for _, c := range []struct {
		name, flows string
		fresh       bool
	}{
		{"empty", `[{"subscribe":[]}]`, false},
		{"shared filter, made", `[{"subscribe":[` + headerFilter + `]}]`, true},
		{"shared filter, found", `[{"subscribe":[` + headerFilter + `]}]`, false},
		{"filter of one client", `[{"subscribe":[` + perClient + `]}]`, false},
		{"five steps, made", `[{"subscribe":[` + five + `]}]`, true},
		{"five steps, found", `[{"subscribe":[` + five + `]}]`, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			log := newTopic(512)
			poll := newStage(b).again(b, c.flows, log)
			poll()
			b.ReportAllocs()
			for b.Loop() {
				if c.fresh {
					log.batch = message.Batch{}
				}
				poll()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/512, "ns/message")
		})
	}
}
