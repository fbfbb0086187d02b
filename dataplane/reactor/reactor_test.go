package reactor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/dataplane/server"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
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
	return reactor.Deployment{ID: strings.Trim(a.Listeners[0].Paths[0].Path, "/"), Revision: revision, Definition: planetest.JSON(a)}
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
	res = p.apply(reactor.Update{Revision: 3, Changed: []reactor.Deployment{{ID: "a", Revision: 3, Definition: []byte("{")}}})
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

func TestReactor_RequestsInFlightFinishOnTheOld(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	p := start(t, planetest.Config(&planetest.Entrypoint{HandleFunc: func(ctx context.Context, x *exchange.Exchange, _ connectors.Backend) {
		if x.API.Revision == 1 {
			entered <- struct{}{}
			<-leave
		}
		if ctx.Err() != nil {
			x.HTTP.SetStatusCode(500)
		}
		x.HTTP.SetBodyString(fmt.Sprint(x.API.Revision))
	}}, nil, nil))
	p.deploy(1, planetest.API("/a/", "http-post"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.want("/a", 200, "1")
	}()
	<-entered
	p.deploy(2, planetest.API("/a/", "http-post")) // returns although the old one still drains
	p.want("/a", 200, "2")
	close(leave)
	<-done
}

// streamer is an entrypoint that streams as SSE does: it detaches, subscribes, and writes until it is told to go.
func streamer(wake chan struct{}) *planetest.Entrypoint {
	return &planetest.Entrypoint{HandleFunc: func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
		http := x.HTTP
		sub, err := b.Subscribe(ctx, x, connectors.SubscribeOptions{Wake: func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		}})
		if err != nil {
			http.SetStatusCode(503)
			return
		}
		x.Detach()
		http.Hijack(func(c net.Conn) {
			defer sub.Close(context.Background())
			for {
				ms, err := sub.Poll(10)
				if err != nil {
					return
				}
				for _, m := range ms {
					fmt.Fprintf(c, "kind=%d reason=%d %s\n", m.Kind, m.Reason, m.Content)
					if m.Kind == message.GoAway {
						return
					}
				}
				if len(ms) == 0 {
					<-wake
				}
			}
		})
	}}
}

// open opens a stream and returns what it says up to its end.
func (p *plane) open(path string) <-chan string {
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	head := make([]byte, 12)
	if _, err := io.ReadFull(c, head); err != nil || string(head) != "HTTP/1.1 200" {
		p.t.Fatalf("%q, %v", head, err)
	}
	out := make(chan string, 1)
	go func() {
		defer c.Close()
		all, _ := io.ReadAll(c)
		out <- string(all)
	}()
	return out
}

func TestReactor_StreamsAreToldToGo(t *testing.T) {
	for _, c := range []struct {
		name string
		end  reactor.Update
		want string
	}{
		{"redeploy", reactor.Update{Revision: 2, Changed: []reactor.Deployment{deployment(planetest.API("/a/", "sse"), 2)}}, "kind=3 reason=1 Stopping, please reconnect\n"},
		{"remove", reactor.Update{Revision: 2, Removed: []string{"a"}}, "kind=3 reason=0 Stopping, please reconnect\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sub := &planetest.Subscription{}
			p := start(t, planetest.Config(nil, streamer(make(chan struct{}, 1)), &planetest.Endpoint{
				SubscribeFunc: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
					return sub, nil
				}}))
			p.deploy(1, planetest.API("/a/", "sse"), planetest.API("/b/", "sse"))
			stream := p.open("/a")
			p.apply(c.end)
			if got := <-stream; !strings.HasSuffix(got, c.want) {
				t.Errorf("the stream said %q, want the end %q", got, c.want)
			}
			if sub.Closed() != 1 {
				t.Errorf("closed %d times", sub.Closed())
			}
		})
	}
}

func TestReactor_DrainRunsOutOfTime(t *testing.T) {
	sub, opened, ended := &planetest.Subscription{}, make(chan struct{}), make(chan struct{})
	stuck := &planetest.Entrypoint{HandleFunc: func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
		if _, err := b.Subscribe(ctx, x, connectors.SubscribeOptions{}); err != nil {
			t.Error(err)
		}
		close(opened)
		<-ctx.Done() // only the end of the drain ends this one
		x.HTTP.SetBodyString("cut")
	}}
	cfg := planetest.Config(nil, stuck, &planetest.Endpoint{
		RunFunc: func(ctx context.Context) error {
			<-ctx.Done()
			close(ended)
			return nil
		},
		SubscribeFunc: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
			return sub, nil // never closed by the entrypoint
		}})
	cfg.Limits.Drain = 20 * time.Millisecond
	p := start(t, cfg)
	p.deploy(1, planetest.API("/a/", "sse"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.want("/a", 200, "cut")
	}()
	<-opened
	p.apply(reactor.Update{Revision: 2, Removed: []string{"a"}})
	<-done
	<-ended
	if sub.Closed() != 1 {
		t.Errorf("subscription closed %d times, want 1", sub.Closed())
	}
	if n := cfg.Counters.CutOff.Load(); n > 1 {
		t.Errorf("%d drains cut off", n)
	}
}
