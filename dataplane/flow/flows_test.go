package flow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/assignattributes"
	"github.com/sluice-gateway/sluice/policies/interrupt"
	"github.com/sluice-gateway/sluice/policies/jsonvalidation"
	"github.com/sluice-gateway/sluice/policies/latency"
	"github.com/sluice-gateway/sluice/policies/messagefiltering"
	"github.com/sluice-gateway/sluice/policies/transformheaders"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// tagPolicy appends its configuration's name to the content, counts, and is what its configuration says.
type tagPolicy struct {
	Name    string `json:"name"`
	Shared  bool   `json:"shared"`
	Filter  bool   `json:"filter"`
	Blocks  bool   `json:"blocks"`
	DropOdd bool   `json:"dropOdd"`
	HoldAt  int64  `json:"holdAt"`
	FailAt  int64  `json:"failAt"`
	EndAt   int64  `json:"endAt"`
	runs    *atomic.Int64
}

func (p *tagPolicy) Traits() policies.Traits {
	return policies.Traits{Shared: p.Shared, Filter: p.Filter, Blocks: p.Blocks}
}

func (p *tagPolicy) OnRequest(_ context.Context, c *policies.Context) error {
	c.Exchange.HTTP.Response.Header.Add("X-Ran", "request "+p.Name)
	switch p.Name {
	case "awaits":
		c.OnAnswer(func(context.Context) { c.Exchange.HTTP.Response.Header.Add("X-Ran", "answered") })
	case "answers":
		return policies.ErrAnswered
	}
	return nil
}

func (p *tagPolicy) OnResponse(_ context.Context, c *policies.Context) error {
	c.Exchange.HTTP.Response.Header.Add("X-Ran", "response "+p.Name)
	return nil
}

func (p *tagPolicy) OnMessage(_ context.Context, _ *policies.Context, m *message.Message) error {
	p.runs.Add(1)
	switch {
	case p.DropOdd && m.Offset%2 == 1:
		return policies.ErrDrop
	case p.HoldAt > 0 && m.Offset == p.HoldAt:
		return policies.ErrHold
	case p.EndAt > 0 && m.Offset == p.EndAt:
		return policies.ErrEnd
	case p.FailAt > 0 && m.Offset == p.FailAt:
		m.Content = []byte("spoilt")
		if p.Name == "cut off" {
			return fmt.Errorf("read the answer: %w", io.EOF)
		}
		return &message.Failure{Status: 418, Key: "TEAPOT", Message: "no"}
	}
	if !p.Filter && p.Name != "" {
		m.Content = append(append([]byte(nil), m.Content...), p.Name...)
	}
	return nil
}

// stage is an API on test connectors. POSTs are published, everything else subscribes.
type stage struct {
	t    testing.TB
	def  *apidef.API
	api  *flow.API
	runs atomic.Int64 // of tag, on messages

	source    func(o connectors.SubscribeOptions) connectors.Subscription
	published []string
	refuses   error                   // what the endpoint answers to what is published
	sub       connectors.Subscription // of the last subscribe
	err       error                   // what became of the last publish or subscribe
	woken     atomic.Int64
	capture   func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) // serves POSTs instead; nil: nobody
}

func newStage(t testing.TB) *stage {
	return &stage{t: t, def: planetest.API("/a/", "http-post", "sse"),
		source: func(connectors.SubscribeOptions) connectors.Subscription { return &planetest.Subscription{} }}
}

// flows sets the API's flows, as JSON.
func (s *stage) flows(text string) *stage {
	s.t.Helper()
	if err := json.Unmarshal([]byte(text), &s.def.Flows); err != nil {
		s.t.Fatal(err)
	}
	return s
}

func (s *stage) deploy() *stage {
	s.t.Helper()
	post := &planetest.Entrypoint{MatchFunc: func(c *fasthttp.RequestCtx) bool { return c.IsPost() },
		HandleFunc: func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
			if s.capture != nil {
				s.capture(ctx, x, b)
				return
			}
			for part := range bytes.SplitSeq(x.HTTP.PostBody(), []byte(",")) {
				m := message.Get()
				m.SetContent(part)
				m.SetAck(s)
				b.Publish(ctx, x, m)
			}
		}}
	sse := &planetest.Entrypoint{MatchFunc: func(c *fasthttp.RequestCtx) bool { return !c.IsPost() }, HandleFunc: func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
		s.sub, s.err = b.Subscribe(ctx, x, connectors.SubscribeOptions{Wake: func() { s.woken.Add(1) }})
		if sub := s.sub; s.err == nil {
			s.t.Cleanup(func() { sub.Close(context.Background()) })
		}
	}}
	mock := &planetest.Endpoint{
		PublishFunc: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
			s.published = append(s.published, string(m.Content))
			m.Done(s.refuses)
		},
		SubscribeFunc: func(_ context.Context, _ *exchange.Exchange, o connectors.SubscribeOptions) (connectors.Subscription, error) {
			return s.source(o), nil
		}}
	cfg := planetest.Config(post, sse, mock)
	cfg.Endpoints["kafka"] = cfg.Endpoints["mock"] // whose levels are all four
	cfg.Policies = policies.List(messagefiltering.Type, transformheaders.Type, assignattributes.Type, interrupt.Type, latency.Type,
		jsonvalidation.Type, policies.Type{ID: "tag", Phases: policies.Request | policies.Response | policies.Publish | policies.Subscribe,
			Compile: func(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
				p := &tagPolicy{runs: &s.runs}
				return p, settings.Decode(cfg, p)
			}})
	s.api, _ = serve(s.t, cfg, s.def)
	return s
}

// Acked implements message.Ack.
func (s *stage) Acked(_ *message.Message, err error) { s.err = err }

// ask serves one request.
func (s *stage) ask(method, path, body string, headers ...string) *fasthttp.Response {
	s.t.Helper()
	x := planetest.Exchange()
	x.HTTP.Request.Header.SetMethod(method)
	x.PathInfo = path
	x.HTTP.Request.SetBodyString(body)
	for i := 0; i+1 < len(headers); i += 2 {
		x.HTTP.Request.Header.Set(headers[i], headers[i+1])
	}
	http := x.HTTP
	if got := s.api.Serve(x); got != flow.Served {
		s.t.Fatalf("outcome %v", got)
	}
	return &http.Response
}

func ran(r *fasthttp.Response) string {
	var out []string
	for _, v := range r.Header.PeekAll("X-Ran") {
		out = append(out, string(v))
	}
	return strings.Join(out, ", ")
}

// step is a step of tag as JSON.
func tag(name string) string {
	return fmt.Sprintf(`{"policy":"tag","configuration":{"name":%q}}`, name)
}

func TestFlows_OrderAndSelection(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.def.Plans[0].Flows = []apidef.Flow{{Request: []apidef.Step{{Policy: "tag", Configuration: json.RawMessage(`{"name":"plan"}`)}},
		Response: []apidef.Step{{Policy: "tag", Configuration: json.RawMessage(`{"name":"plan"}`)}}}}
	s.flows(`[
{"request":[` + tag("1") + `,` + tag("2") + `],"response":[` + tag("1") + `]},
{"enabled":false,"request":[` + tag("disabled") + `]},
{"request":[{"policy":"tag","enabled":false,"configuration":{"name":"disabled step"}}]},
{"selectors":[{"type":"channel","channel":"/foo"}],"request":[` + tag("foo*") + `]},
{"selectors":[{"type":"channel","channel":"/foo/:id","channelOperator":"EQUALS"}],"request":[` + tag("foo/:id") + `]},
{"selectors":[{"type":"channel","operations":["subscribe"]}],"request":[` + tag("sub") + `]},
{"selectors":[{"type":"channel","entrypoints":["http-post"]}],"request":[` + tag("post") + `]},
{"selectors":[{"type":"condition","condition":"{#request.headers['x-who'][0] == 'me'}"}],"request":[` + tag("me") + `],"response":[` + tag("me") + `]},
{"request":[{"policy":"tag","condition":"{#request.headers['x-step'] != null}","configuration":{"name":"step"}}]}
]`).deploy()
	const base = "request plan, request 1, request 2"
	for _, c := range []struct {
		name, method, path string
		headers            []string
		want               string
	}{
		{"post", "POST", "/", nil, base + ", request post, response plan, response 1"},
		{"get", "GET", "/", nil, base + ", request sub, response plan, response 1"},
		{"prefix is not of segments", "POST", "/foobar", nil, base + ", request foo*, request post, response plan, response 1"},
		{"parameter", "POST", "/foo/7/", nil, base + ", request foo*, request foo/:id, request post, response plan, response 1"},
		{"condition counts for the whole flow", "POST", "/", []string{"X-Who", "me"}, base + ", request post, request me, response plan, response 1, response me"},
		{"condition of a step", "POST", "/", []string{"X-Step", "y"}, base + ", request post, request step, response plan, response 1"},
	} {
		if got := ran(s.ask(c.method, c.path, "", c.headers...)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestFlows_Answers: what waits for the backend's answer is called before the response phase, and a step that answers itself leaves
// out the backend, but not the response phase.
func TestFlows_Answers(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"request":[` + tag("awaits") + `],"response":[` + tag("r") + `]}]`).deploy()
	if got := ran(s.ask("POST", "/", "x")); got != "request awaits, answered, response r" || len(s.published) != 1 {
		t.Errorf("%s, published %q", got, s.published)
	}
	s = newStage(t).flows(`[{"request":[` + tag("awaits") + `,` + tag("answers") + `,` + tag("never") + `],"response":[` + tag("r") + `]}]`).deploy()
	if got := ran(s.ask("POST", "/", "x")); got != "request awaits, request answers, response r" || len(s.published) != 0 {
		t.Errorf("%s, published %q", got, s.published)
	}
	s = newStage(t).flows(`[{"request":[` + tag("awaits") + `]}]`).deploy()
	if got := ran(s.ask("POST", "/", "x")); got != "request awaits, answered" {
		t.Errorf("without a response phase: %s", got)
	}
}

func TestFlows_BestMatchAndMatchRequired(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[
{"selectors":[{"type":"channel","channel":"/a"}],"request":[` + tag("a") + `]},
{"selectors":[{"type":"channel","channel":"/a/:x"}],"request":[` + tag("a/:x") + `]},
{"selectors":[{"type":"channel","channel":"/a/b"}],"request":[` + tag("a/b") + `]},
{"selectors":[{"type":"channel","channel":"/:y/b/c"}],"request":[` + tag(":y/b/c") + `]}
]`)
	s.def.FlowExecution = &apidef.FlowExecution{Mode: "best-match", MatchRequired: true}
	s.deploy()
	for path, want := range map[string]string{"/a": "request a", "/a/q": "request a/:x", "/a/b": "request a/b", "/a/b/c": "request a/b", "/z/b/c": "request :y/b/c"} {
		if got := ran(s.ask("POST", path, "")); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if r := s.ask("POST", "/none", ""); r.StatusCode() != 404 {
		t.Errorf("no flow: status %d", r.StatusCode())
	}
}

func TestFlows_Publish(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"publish":[
{"policy":"message-filtering","configuration":{"filter":"{#message.content != 'b'}"}},
{"policy":"tag","messageCondition":"{#message.content == 'c'}","configuration":{"name":"!"}}]}]`).deploy()
	s.ask("POST", "/", "a,b,c")
	if diff := cmp.Diff([]string{"a", "c!"}, s.published); diff != "" || s.err != nil {
		t.Errorf("published (-want +got), %v:\n%s", s.err, diff)
	}
	s.err = errors.New("not told")
	if s.ask("POST", "/", "b"); s.err != nil {
		t.Errorf("a dropped message: %v, want success", s.err)
	}
}

func TestFlows_PublishFailureNamesThePolicy(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"publish":[{"name":"shape","policy":"json-validation","configuration":{"schema":"{\"type\":\"object\",\"required\":[\"id\"]}"}}]}]`).deploy()
	for body, want := range map[string]string{`{}`: "JSON_INVALID_MESSAGE_REQUEST_PAYLOAD", `{`: "JSON_INVALID_MESSAGE_REQUEST_FORMAT", `{"id":1}`: ""} {
		s.err = nil
		s.ask("POST", "/", body)
		var f *message.Failure
		if errors.As(s.err, &f) != (want != "") || f != nil && (f.Key != want || f.Status != 400 || !strings.Contains(f.Error(), `policy json-validation (step "shape")`)) {
			t.Errorf("%s: %v, want %q", body, s.err, want)
		}
	}
}

// TestFlows_CutOffIsAFailure: the end of what a policy reads is not the end of the stream.
func TestFlows_CutOffIsAFailure(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"subscribe":[{"policy":"tag","configuration":{"name":"cut off","failAt":1}}]}]`)
	s.source = func(connectors.SubscribeOptions) connectors.Subscription {
		return &planetest.Subscription{PollFunc: func(int) ([]message.Message, error) {
			return []message.Message{{Kind: message.Data, Offset: 1, Content: []byte("x")}}, nil
		}}
	}
	s.deploy().ask("GET", "/", "")
	_, err := s.sub.Poll(1)
	if f := (*message.Failure)(nil); !errors.As(err, &f) || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("%v", err)
	}
}

func TestFlows_FailureModeSkipLeavesTheMessage(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"publish":[{"policy":"json-validation","failureMode":"skip","configuration":{"schema":"{\"type\":\"object\"}"}},` + tag("+") + `]}]`).deploy()
	if s.ask("POST", "/", "no json"); s.err != nil || !slices.Equal(s.published, []string{"no json+"}) {
		t.Errorf("published %q, %v", s.published, s.err)
	}
}

func TestFlows_InterruptIsRenderedByTemplates(t *testing.T) {
	t.Parallel()
	s := newStage(t).flows(`[{"request":[{"policy":"policy-interrupt","configuration":{"errorKey":"CLOSED","message":"closed for {#request.headers['x-who'][0]}"}}]}]`)
	s.def.ResponseTemplates = map[string]map[string]apidef.ResponseTemplate{
		"CLOSED": {"application/json": {Status: 503, Body: `{"why":"{#error.message}"}`, Headers: map[string]string{"Retry-After": "7"}}},
	}
	s.deploy()
	r := s.ask("POST", "/", "x", "Accept", "text/html;q=0.5, application/json", "X-Who", "you")
	if got := fmt.Sprint(r.StatusCode(), string(r.Body()), string(r.Header.Peek("Retry-After"))); got != `503{"why":"closed for you"}7` {
		t.Errorf("template: %s", got)
	}
	r = s.ask("POST", "/", "x", "Accept", "text/html", "X-Who", "you")
	if got := fmt.Sprint(r.StatusCode(), string(r.Body())); got != "500closed for you" {
		t.Errorf("without template: %s", got)
	}
	if len(s.published) > 0 {
		t.Errorf("published %q", s.published)
	}
}

func TestFlows_CORS(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	age := 60
	s.def.Listeners[0].CORS = &apidef.CORS{Enabled: true, AllowOrigin: []string{"https://a.example", "https://.*[.]b[.]example"},
		AllowMethods: []string{"get"}, AllowHeaders: []string{"X-One"}, ExposeHeaders: []string{"X-Two"}, MaxAge: &age, AllowCredentials: true}
	s.deploy()
	for _, c := range []struct {
		origin, method, headers string
		want                    int
	}{
		{"https://a.example", "GET", "x-one", 200}, {"https://x.b.example", "GET", "", 200}, {"https://evil", "GET", "", 400},
		{"https://a.example", "PUT", "", 400}, {"https://a.example", "GET", "X-Other", 400}, {"https://x.b.example.evil", "GET", "", 400},
	} {
		r := s.ask("OPTIONS", "/", "", "Origin", c.origin, "Access-Control-Request-Method", c.method, "Access-Control-Request-Headers", c.headers)
		if r.StatusCode() != c.want || c.want == 200 && (string(r.Header.Peek("Access-Control-Allow-Origin")) != c.origin || string(r.Header.Peek("Access-Control-Max-Age")) != "60") {
			t.Errorf("%v: %d\n%s", c, r.StatusCode(), &r.Header)
		}
	}
	if r := s.ask("POST", "/", "x", "Origin", "https://a.example"); string(r.Header.Peek("Access-Control-Allow-Origin")) != "https://a.example" ||
		string(r.Header.Peek("Access-Control-Expose-Headers")) != "X-Two" {
		t.Errorf("simple request:\n%s", &r.Header)
	}
	if r := s.ask("POST", "/", "x", "Origin", "https://evil"); len(r.Header.Peek("Access-Control-Allow-Origin")) > 0 {
		t.Errorf("simple request of another origin:\n%s", &r.Header)
	}
}
