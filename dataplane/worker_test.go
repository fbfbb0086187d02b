package dataplane_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/dataplane/server"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, planetest.IgnoreFasthttp()...) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// node is a worker that runs.
type node struct {
	*dataplane.Worker
	t       *testing.T
	gateway string
	admin   string
	stop    func() error
}

func start(t *testing.T, cfg flow.Config, feed func(*dataplane.Worker) (dataplane.Feed, error)) *node {
	t.Helper()
	registry := prometheus.NewRegistry()
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithProducer(cfg.Counters))
	if err != nil {
		t.Fatal(err)
	}
	gateway, admin := listen(t), listen(t)
	w, err := dataplane.New(dataplane.Config{ID: "n1", Name: "sluice", Version: "v0", AdminToken: "secret", Server: server.DefaultConfig, Limits: cfg.Limits},
		dataplane.Deps{Entrypoints: cfg.Entrypoints, Endpoints: cfg.Endpoints, Gateway: []net.Listener{gateway}, Admin: admin, Feed: feed,
			Log: cfg.Log, Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), Gatherer: registry, Counters: cfg.Counters})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	n := &node{Worker: w, t: t, gateway: "http://" + gateway.Addr().String(), admin: "http://" + admin.Addr().String()}
	n.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// ask asks the technical API.
func (n *node) ask(path, authorization string) (int, string) {
	n.t.Helper()
	req, _ := http.NewRequestWithContext(n.t.Context(), "GET", n.admin+path, nil)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

const bearer = "Bearer secret"

func TestWorker_ReadyOnceItServesItsDefinitions(t *testing.T) {
	apply, applied := make(chan struct{}), make(chan struct{})
	n := start(t, planetest.Config(nil, nil, nil), func(w *dataplane.Worker) (dataplane.Feed, error) {
		return feed(func(ctx context.Context) error {
			<-apply
			w.Apply(ctx, reactor.Update{Revision: 7, Full: true, Changed: []reactor.Deployment{{ID: "a", Revision: 7, Bundle: planetest.Bundle(planetest.API("/a/", "http-post"))}}})
			close(applied)
			<-ctx.Done()
			return nil
		}), nil
	})
	if s, b := n.ask("/_node/ready", ""); s != 503 || !strings.Contains(b, "no definitions yet: the cable is out") {
		t.Errorf("before: %d %s", s, b)
	}
	if s, b := n.ask("/_node/health?probes=control-plane", ""); s != 500 || !strings.Contains(b, "the cable is out") {
		t.Errorf("before: %d %s", s, b)
	}
	if s, b := n.ask("/_node/health?probes=http-server,sync-process", ""); s != 500 || !strings.Contains(b, "not ready") {
		t.Errorf("before: %d %s", s, b)
	}
	close(apply)
	<-applied
	if s, b := n.ask("/_node/ready", ""); s != 200 {
		t.Errorf("after: %d %s", s, b)
	}
	if st := n.Status(); !st.Ready || st.Revision != 7 || len(st.APIs) != 1 {
		t.Errorf("status %+v", st)
	}
}

type feed func(ctx context.Context) error

func (f feed) Run(ctx context.Context) error { return f(ctx) }

func (f feed) Trouble() error { return errors.New("the cable is out") }

func TestAdmin_Answers(t *testing.T) {
	n := start(t, planetest.Config(nil, nil, nil), nil)
	bad := planetest.API("/b/", "http-post")
	bad.Plans = nil
	n.Apply(t.Context(), reactor.Update{Revision: 1, Changed: []reactor.Deployment{
		{ID: "a", Revision: 1, Bundle: planetest.Bundle(planetest.API("/a/", "http-post"))}, {ID: "b", Revision: 1, Bundle: planetest.Bundle(bad)}}})
	if resp, err := http.Post(n.gateway+"/a", "", nil); err != nil || resp.StatusCode != 200 || resp.Body.Close() != nil {
		t.Fatal(resp, err)
	}
	for _, c := range []struct {
		name, path, authorization string
		status                    int
		contains                  string
	}{
		{"health needs nothing", "/_node/health", "", 200, `"http-server": {`},
		{"unknown probe", "/_node/health?probes=x", "", 500, `"message": "probe not found"`},
		{"no token", "/_node", "", 401, "Unauthorized"},
		{"wrong token", "/_node", "Bearer secre", 401, "Unauthorized"},
		{"basic", "/_node", "Basic YWRtaW46c2VjcmV0", 200, `"id": "n1"`},
		{"basic of somebody else", "/_node", "Basic cm9vdDpzZWNyZXQ=", 401, "Unauthorized"},
		{"bearer", "/_node", bearer, 200, `"version": "v0"`},
		{"apis", "/_node/apis", bearer, 200, `"state": "serving"`},
		{"one api", "/_node/apis/b", bearer, 200, "has no published plan"},
		{"no such api", "/_node/apis/c", bearer, 404, ""},
		{"metrics need the token", "/_node/metrics/prometheus", "", 401, ""},
		{"metrics", "/_node/metrics/prometheus", bearer, 200, `sluice_dataplane_requests_total{api="a",entrypoint="http-post",`},
		{"latency in seconds", "/_node/metrics/prometheus", bearer, 200, `sluice_dataplane_request_duration_seconds_count{api="a"`},
		{"revision", "/_node/metrics/prometheus", bearer, 200, "sluice_reactor_revision{"},
		{"profile needs the token", "/_node/debug/pprof/goroutine", "", 401, ""},
		{"profile", "/_node/debug/pprof/goroutine?debug=1", bearer, 200, "goroutine profile"},
		{"profiles", "/_node/debug/pprof/", bearer, 200, "heap"},
		{"elsewhere", "/x", bearer, 404, ""},
	} {
		if s, b := n.ask(c.path, c.authorization); s != c.status || !strings.Contains(b, c.contains) {
			t.Errorf("%s: %d, want %d and %q in:\n%s", c.name, s, c.status, c.contains, b)
		}
	}
	_, b := n.ask("/_node/apis", bearer)
	var apis []struct{ ID, State string }
	if err := json.Unmarshal([]byte(b), &apis); err != nil || len(apis) != 2 || apis[1].State != "failed" {
		t.Errorf("%v, %+v", err, apis)
	}
}

func TestWorker_StopsPolitely(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	n := start(t, planetest.Config(&planetest.Entrypoint{HandleFunc: func(_ context.Context, x *exchange.Exchange, _ connectors.Backend) {
		close(entered)
		<-leave
		x.HTTP.SetBodyString("finished")
	}}, nil, nil), nil)
	n.Apply(t.Context(), reactor.Update{Revision: 1, Changed: []reactor.Deployment{{ID: "a", Revision: 1, Bundle: planetest.Bundle(planetest.API("/a/", "http-post"))}}})
	c, err := net.Dial("tcp", strings.TrimPrefix(n.gateway, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	<-entered
	stopped := make(chan error)
	go func() { stopped <- n.stop() }()
	for n.Ready() == nil {
		runtime.Gosched()
	}
	for { // the port closes after it has begun to ask clients to leave
		late, err := net.Dial("tcp", strings.TrimPrefix(n.gateway, "http://"))
		if err != nil {
			break
		}
		late.Close()
	}
	if s, b := n.ask("/_node/ready", ""); s != 503 || !strings.Contains(b, "stopping") {
		t.Errorf("while it drains: %d %s", s, b)
	}
	http.DefaultClient.CloseIdleConnections()
	close(leave)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "finished" || !resp.Close {
		t.Errorf("body %q, close %v", body, resp.Close)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
