package reactor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/dataplane/server"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, planetest.IgnoreFasthttp()...) }

// plane is a reactor behind a gateway port on loopback.
type plane struct {
	*reactor.Reactor
	t    *testing.T
	url  string
	addr string
	http *fasthttp.Client
}

func start(t *testing.T, cfg flow.Config) *plane {
	t.Helper()
	r := reactor.New(cfg)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.DefaultConfig, []net.Listener{ln}, r, cfg.Counters, cfg.Log)
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{Reactor: r, t: t, url: "http://" + ln.Addr().String(), addr: ln.Addr().String(), http: &fasthttp.Client{MaxConnsPerHost: 100}}
	p.run(r.Run)
	p.run(s.Run)
	t.Cleanup(p.http.CloseIdleConnections)
	return p
}

// run runs f until the end of the test, before what was run earlier ends.
func (p *plane) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	})
}

func (p *plane) apply(u reactor.Update) []reactor.Result { return p.Apply(p.t.Context(), u) }

func (p *plane) deploy(revision uint64, apis ...*apidef.API) []reactor.Result {
	u := reactor.Update{Revision: revision}
	for _, a := range apis {
		u.Changed = append(u.Changed, deployment(a, revision))
	}
	return p.apply(u)
}

func deployment(a *apidef.API, revision uint64) reactor.Deployment {
	return reactor.Deployment{ID: strings.Trim(a.Listeners[0].Paths[0].Path, "/"), Revision: revision, Bundle: planetest.Bundle(a)}
}

func (p *plane) post(path string) (int, string) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(p.url + path)
	req.Header.SetMethod("POST")
	if err := p.http.Do(req, resp); err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode(), string(resp.Body())
}

func (p *plane) want(path string, status int, body string) {
	p.t.Helper()
	if s, b := p.post(path); s != status || b != body {
		p.t.Errorf("POST %s: %d %q, want %d %q", path, s, b, status, body)
	}
}

func TestReactor_DeployReplaceRemove(t *testing.T) {
	p := start(t, planetest.Config(nil, nil, nil))
	p.want("/a", 404, server.DefaultNotFound)
	p.deploy(1, planetest.API("/a/", "http-post"), planetest.API("/b/", "http-post"))
	p.want("/a", 200, "a@1")
	p.want("/b/x", 200, "b@1")
	p.deploy(2, planetest.API("/a/", "http-post"))
	p.want("/a", 200, "a@2")
	p.want("/b", 200, "b@1")
	p.apply(reactor.Update{Revision: 3, Removed: []string{"a"}})
	p.want("/a", 404, server.DefaultNotFound)
	p.apply(reactor.Update{Revision: 4, Full: true, Changed: []reactor.Deployment{deployment(planetest.API("/c/", "http-post"), 4)}})
	p.want("/b", 404, server.DefaultNotFound)
	p.want("/c", 200, "c@4")
	if s := p.States(); len(s) != 1 || s[0].ID != "c" || s[0].State != reactor.Serving {
		t.Errorf("states %+v", s)
	}
}

func TestReactor_FailureKeepsTheOld(t *testing.T) {
	p := start(t, planetest.Config(nil, nil, nil))
	p.deploy(1, planetest.API("/a/", "http-post"))
	bad := planetest.API("/a/", "http-post")
	bad.Plans[0].Security.Type = "api-key"
	res := p.deploy(2, bad, planetest.API("/b/", "http-post"))
	if res[0].State != reactor.Failed || res[0].Serving != 1 || !strings.Contains(res[0].Err.Error(), `security "api-key" is not enforced`) {
		t.Errorf("result %+v", res[0])
	}
	if res[1].State != reactor.Serving {
		t.Errorf("result %+v", res[1])
	}
	p.want("/a", 200, "a@1")
	p.want("/b", 200, "b@2")
	res = p.apply(reactor.Update{Revision: 3, Changed: []reactor.Deployment{{ID: "a", Revision: 3, Bundle: []byte("{")}}})
	if res[0].State != reactor.Rejected || res[0].Serving != 1 {
		t.Errorf("result %+v", res[0])
	}
	if s, _ := p.State("a"); s.Revision != 3 || s.Serving != 1 || len(s.Routes) != 1 {
		t.Errorf("state %+v", s)
	}
}

func TestReactor_UnchangedIsUntouched(t *testing.T) {
	ended := make(chan struct{}, 1)
	p := start(t, planetest.Config(nil, nil, &planetest.Endpoint{RunFunc: func(ctx context.Context) error {
		<-ctx.Done()
		ended <- struct{}{}
		return nil
	}}))
	a := deployment(planetest.API("/a/", "http-post"), 1)
	p.apply(reactor.Update{Revision: 1, Changed: []reactor.Deployment{a}})
	res := p.apply(reactor.Update{Revision: 2, Full: true, Changed: []reactor.Deployment{a}})
	if len(res) != 1 || res[0].State != reactor.Serving {
		t.Errorf("results %+v", res)
	}
	select {
	case <-ended:
		t.Error("the endpoint of an unchanged API was ended")
	default:
	}
	p.want("/a", 200, "a@1")
}

func TestReactor_PanicsAreContained(t *testing.T) {
	cfg := planetest.Config(&planetest.Entrypoint{HandleFunc: func(_ context.Context, x *exchange.Exchange, _ connectors.Backend) {
		if x.API.ID == "bad" {
			panic("handler")
		}
		x.HTTP.SetBodyString("fine")
	}}, nil, nil)
	build := cfg.Endpoints["mock"]
	inner := build.New
	build.New = func(c, s json.RawMessage, env connectors.Env) (connectors.Endpoint, error) {
		if env.API.ID == "worse" {
			panic("build")
		}
		return inner(c, s, env)
	}
	cfg.Endpoints["mock"] = build
	p := start(t, cfg)
	res := p.deploy(1, planetest.API("/good/", "http-post"), planetest.API("/bad/", "http-post"), planetest.API("/worse/", "http-post"))
	if res[2].State != reactor.Failed || !strings.Contains(res[2].Err.Error(), "panic: build") {
		t.Errorf("result %+v", res[2])
	}
	p.want("/bad", 500, "Internal Server Error")
	p.want("/good", 200, "fine")
	p.want("/worse", 404, server.DefaultNotFound)
	if n := cfg.Counters.Panics.Load(); n != 2 {
		t.Errorf("%d panics counted, want 2", n)
	}
}

func TestReactor_HotSwapDropsNothing(t *testing.T) {
	p := start(t, planetest.Config(nil, nil, nil))
	p.deploy(1, planetest.API("/a/", "http-post"), planetest.API("/b/", "http-post"))
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			path := []string{"/a", "/b"}[i%2]
			for ctx.Err() == nil {
				if s, b := p.post(path); s != 200 {
					t.Errorf("POST %s: %d %q", path, s, b)
					return
				}
			}
		})
	}
	for revision := uint64(2); revision <= 200; revision++ {
		p.deploy(revision, planetest.API("/a/", "http-post"))
		if s, b := p.post("/a"); s != 200 || b != fmt.Sprintf("a@%d", revision) {
			t.Fatalf("after revision %d: %d %q", revision, s, b)
		}
	}
	cancel()
	clients.Wait()
	p.want("/b", 200, "b@1")
}

func TestReactor_ConflictsAreReportedUntilTheyEnd(t *testing.T) {
	p := start(t, planetest.Config(nil, nil, nil))
	same := func(id string, revision uint64) reactor.Deployment {
		return reactor.Deployment{ID: id, Revision: revision, Bundle: planetest.Bundle(planetest.API("/same/", "http-post"))}
	}
	p.apply(reactor.Update{Revision: 1, Changed: []reactor.Deployment{same("y", 1)}})
	p.want("/same", 200, "y@1")
	p.apply(reactor.Update{Revision: 2, Changed: []reactor.Deployment{same("x", 2)}})
	p.want("/same", 200, "x@2")
	for range 2 { // as often as an API is deployed again, it is in conflict once
		p.apply(reactor.Update{Revision: 3, Changed: []reactor.Deployment{same("y", 3)}})
	}
	for _, id := range []string{"x", "y"} {
		if s, _ := p.State(id); len(s.Conflicts) != 1 || s.Conflicts[0].Winner != "x" {
			t.Errorf("conflicts of %s: %v", id, s.Conflicts)
		}
	}
	p.apply(reactor.Update{Revision: 4, Removed: []string{"x"}})
	p.want("/same", 200, "y@3")
	if s, _ := p.State("y"); len(s.Conflicts) != 0 {
		t.Errorf("conflicts left: %v", s.Conflicts)
	}
}

func TestReactor_FailedRevisionTakenBack(t *testing.T) {
	p := start(t, planetest.Config(nil, nil, nil))
	good := deployment(planetest.API("/a/", "http-post"), 1)
	p.apply(reactor.Update{Revision: 1, Changed: []reactor.Deployment{good}})
	p.apply(reactor.Update{Revision: 2, Changed: []reactor.Deployment{{ID: "a", Revision: 2, Bundle: []byte("{")}}})
	p.apply(reactor.Update{Revision: 3, Full: true, Changed: []reactor.Deployment{good}})
	if s, _ := p.State("a"); s.State != reactor.Serving || s.Revision != 1 || s.Err != nil {
		t.Errorf("state %+v", s)
	}
}
