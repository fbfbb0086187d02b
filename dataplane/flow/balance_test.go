package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

var (
	errAway   = &message.Failure{Status: 503, Key: message.KeyConnectionFailed, Message: "Endpoint connection failed"}
	errClient = &message.Failure{Status: 413, Key: message.KeyPublishFailed, Message: "too large"}
)

// farm is an API whose endpoints tell who was asked, and fail as they are told.
type farm struct {
	t       *testing.T
	def     *apidef.API
	post    connectors.Backend
	sse     connectors.Backend
	asked   []string
	fail    map[string]error
	tenants string
	built   map[string]string // what each endpoint was built with: its configuration and the shared one
}

// newFarm builds an API with one group, "default", of the endpoints named, "*" marking secondary ones.
func newFarm(t *testing.T, balancer string, endpoints ...string) *farm {
	f := &farm{t: t, def: planetest.API("/a/", "http-post", "sse"), fail: map[string]error{}, built: map[string]string{}}
	g := &f.def.EndpointGroups[0]
	g.LoadBalancer, g.Endpoints = &apidef.LoadBalancer{Type: balancer}, nil
	for _, name := range endpoints {
		name, secondary := strings.CutSuffix(name, "*")
		g.Endpoints = append(g.Endpoints, apidef.Endpoint{Name: name, Type: "mock", Secondary: secondary,
			Configuration: json.RawMessage(fmt.Sprintf("{%q:1}", name))})
	}
	return f
}

// config are connectors that remember who was asked.
func (f *farm) config() flow.Config {
	take := func(b *connectors.Backend) *planetest.Entrypoint {
		return &planetest.Entrypoint{HandleFunc: func(_ context.Context, _ *exchange.Exchange, to connectors.Backend) { *b = to }}
	}
	cfg := planetest.Config(take(&f.post), take(&f.sse), nil)
	cfg.Tenant = f.tenants
	mock := cfg.Endpoints["mock"]
	mock.New = func(raw, shared json.RawMessage, _ connectors.Env) (connectors.Endpoint, error) {
		var c map[string]int
		_ = json.Unmarshal(raw, &c)
		for name := range c {
			f.built[name] = string(raw) + string(shared)
			return &planetest.Endpoint{
				PublishFunc: func(_ context.Context, _ *exchange.Exchange, m *message.Message) {
					f.asked = append(f.asked, name)
					m.Done(f.fail[name])
				},
				SubscribeFunc: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
					f.asked = append(f.asked, name)
					if err := f.fail[name]; err != nil {
						return nil, err
					}
					return &planetest.Subscription{}, nil
				}}, nil
		}
		return &planetest.Endpoint{}, nil
	}
	cfg.Endpoints["mock"] = mock
	return cfg
}

// deploy builds the API and takes hold of its backends.
func (f *farm) deploy() *farm {
	f.t.Helper()
	for _, entrypoint := range []string{"sse", "http-post"} { // the fakes match everything: one API each, that nobody else is asked
		def := *f.def
		def.Listeners = planetest.API("/a/", entrypoint).Listeners
		api, _ := serve(f.t, f.config(), &def)
		api.Serve(planetest.Exchange())
	}
	return f
}

func client(name string) *exchange.Exchange {
	return &exchange.Exchange{ClientIdentifier: name, ClientSupplied: true, QoS: qos.Auto}
}

// ack keeps what a publisher is told.
type ack struct{ errs []error }

func (a *ack) Acked(m *message.Message, err error) {
	a.errs = append(a.errs, err)
	m.Release()
}

// publish publishes one message per exchange, n times, and returns who was asked, one letter each.
func (f *farm) publish(n int) string {
	f.asked = nil
	a := &ack{}
	for range n {
		m := message.Get()
		m.SetAck(a)
		f.post.Publish(f.t.Context(), &exchange.Exchange{}, m)
	}
	if len(a.errs) != n {
		f.t.Errorf("%d of %d publishers were told", len(a.errs), n)
	}
	return strings.Join(f.asked, "")
}

// subscribe subscribes and returns who was asked.
func (f *farm) subscribe(x *exchange.Exchange) string {
	f.asked = nil
	s, err := f.sse.Subscribe(f.t.Context(), x, connectors.SubscribeOptions{})
	if err == nil {
		s.Close(f.t.Context())
	}
	return strings.Join(f.asked, "")
}

func weigh(f *farm, weights ...int) *farm {
	for i := range weights {
		f.def.EndpointGroups[0].Endpoints[i].Weight = &weights[i]
	}
	return f
}

func TestBalance_InTurn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, balancer string
		weights        []int
		want           string
	}{
		{"absent", "", nil, "abcabcab"},
		{"round-robin", "round-robin", nil, "abcabcab"},
		{"round-robin knows no weights", "round-robin", []int{3, 1, 0}, "abcabcab"},
		{"weighted", "weighted-round-robin", []int{3, 1, 0}, "abaaabaa"},
		{"weighted by nothing", "weighted-round-robin", nil, "abcabcab"},
		{"all out", "weighted-round-robin", []int{0, 0, 0}, ""},
	} {
		f := weigh(newFarm(t, c.balancer, "a", "b", "c"), c.weights...).deploy()
		if got := f.publish(8); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestBalance_AtRandom(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for _, c := range []struct {
		balancer string
		weights  []int
		want     map[string]float64
	}{
		{"random", []int{3, 1, 0}, map[string]float64{"a": 1. / 3, "b": 1. / 3, "c": 1. / 3}},
		{"weighted-random", []int{3, 1, 0}, map[string]float64{"a": .75, "b": .25, "c": 0}},
	} {
		got := weigh(newFarm(t, c.balancer, "a", "b", "c"), c.weights...).deploy().publish(n)
		for name, want := range c.want { // 0.02 is more than five standard deviations
			if share := float64(strings.Count(got, name)) / n; math.Abs(share-want) > 0.02 {
				t.Errorf("%s: %s has %.3f, want %.3f", c.balancer, name, share, want)
			}
		}
	}
}

func TestBalance_AnExchangeStays(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "round-robin", "a", "b", "c").deploy()
	f.publish(1)
	f.asked = nil
	x := &exchange.Exchange{}
	for range 4 {
		f.post.Publish(t.Context(), x, message.Get())
	}
	if got := strings.Join(f.asked, ""); got != "bbbb" {
		t.Errorf("one connection went to %s", got)
	}
}

// TestBalance_WhoIsAwayRests: after a failed connection an endpoint is left alone, then one exchange tries it.
func TestBalance_WhoIsAwayRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, "round-robin", "a", "b", "c*").deploy()
		f.fail["a"] = errAway
		f.wantPublished("it is found out, then left alone", 5, "abbbb")
		time.Sleep(time.Second)
		f.wantPublished("one tries", 5, "babbb")
		time.Sleep(time.Second)
		f.wantPublished("and rests twice as long", 3, "bbb")
		time.Sleep(time.Second)
		f.fail["a"] = nil
		got := f.publish(5)
		if strings.Count(got, "a") < 2 || strings.Contains(got, "c") {
			t.Errorf("once it is back: %s", got)
		}
		f.fail["b"] = errClient
		if got := f.publish(4); strings.Count(got, "b") != 2 {
			t.Errorf("a failure that is the client's own: %s", got)
		}
		f.fail["a"], f.fail["b"] = errAway, errAway
		f.wantPublished("the secondary serves when no primary can", 5, "abccc")
		f.fail["c"] = &message.Failure{Status: 504, Key: message.KeyOutcomeUnknown, Unknown: true}
		f.publish(1)
		f.wantPublished("all away: a primary may be back", 4, "abab")
	})
}

func (f *farm) wantPublished(what string, n int, want string) {
	f.t.Helper()
	if got := f.publish(n); got != want {
		f.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// TestBalance_ClientsHaveAHome: a cursor belongs to one cluster, so its client comes back to it, on every worker.
func TestBalance_ClientsHaveAHome(t *testing.T) {
	t.Parallel()
	f, other := newFarm(t, "round-robin", "a", "b", "c", "d*").deploy(), newFarm(t, "random", "a", "b", "c", "d*").deploy()
	seen := map[string]int{}
	for i := range 3_000 {
		name := fmt.Sprintf("client-%d", i)
		home := f.subscribe(client(name))
		seen[home]++
		if again := other.subscribe(client(name)); again != home {
			t.Fatalf("%s went to %s, then to %s", name, home, again)
		}
		if anonymous := (&exchange.Exchange{ClientIdentifier: "random", Subscription: name, QoS: qos.Auto}); f.subscribe(anonymous) != home {
			t.Fatalf("the address %s is at home elsewhere", name)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		if n := seen[name]; n < 900 || n > 1_100 {
			t.Errorf("%s is home to %d of 3000", name, n)
		}
	}
	home := f.subscribe(client("x"))
	f.fail[home] = errAway
	for range 3 {
		if got := f.subscribe(client("x")); got != home {
			t.Errorf("away from home: %s", got)
		}
	}
	got := map[string]bool{}
	for range 6 {
		got[f.subscribe(&exchange.Exchange{ClientIdentifier: "x", ClientSupplied: true, QoS: qos.None})] = true
	}
	if len(got) != 2 || got[home] {
		t.Errorf("under none nothing binds a client: %v, home %s is away", got, home)
	}
}

func TestBalance_HomesFollowWeights(t *testing.T) {
	t.Parallel()
	f := weigh(newFarm(t, "weighted-random", "a", "b", "c"), 3, 1, 0).deploy()
	n := 0
	for i := range 4_000 {
		if f.subscribe(client(fmt.Sprint(i))) == "a" {
			n++
		}
	}
	if n < 2_850 || n > 3_150 {
		t.Errorf("a is home to %d of 4000, want about 3000", n)
	}
}

func TestBackend_AttributeChoosesTheEndpoint(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "round-robin", "a", "b")
	f.def.EndpointGroups = append(f.def.EndpointGroups, apidef.EndpointGroup{Name: "other", Type: "mock",
		Endpoints: []apidef.Endpoint{{Name: "c", Type: "mock", Configuration: json.RawMessage(`{"c":1}`)}}})
	f.deploy()
	for _, c := range []struct{ value, want, key string }{
		{"b:", "b", ""}, {"b:/path", "b", ""}, {"other:", "c", ""}, {"c:", "c", ""}, {"/path", "a", ""},
		{"nowhere:", "", message.KeyNoEndpoint}, {"http://elsewhere/", "", message.KeyNoEndpoint},
	} {
		f.asked = nil
		x, a, m := &exchange.Exchange{}, &ack{}, message.Get()
		x.SetAttribute("gravitee.attribute.request.endpoint", c.value)
		m.SetAck(a)
		f.post.Publish(t.Context(), x, m)
		key := ""
		if fail, ok := a.errs[0].(*message.Failure); ok {
			key = fail.Key
		}
		if got := strings.Join(f.asked, ""); got != c.want || key != c.key {
			t.Errorf("%q: asked %q, key %q", c.value, got, key)
		}
	}
}

func TestNew_Tenants(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ tenant, want string }{{"", "abcabc"}, {"eu", "acacac"}, {"EU", "cccccc"}} {
		f := newFarm(t, "", "a", "b", "c")
		f.tenants = c.tenant
		f.def.EndpointGroups[0].Endpoints[0].Tenants = []string{"eu", "us"}
		f.def.EndpointGroups[0].Endpoints[1].Tenants = []string{"us"}
		if got := f.deploy().publish(6); got != c.want {
			t.Errorf("%q: %s, want %s", c.tenant, got, c.want)
		}
	}
	f := newFarm(t, "", "a")
	f.tenants, f.def.EndpointGroups[0].Endpoints[0].Tenants = "eu", []string{"us"}
	_, err := flow.New(f.config(), flow.Deployment{API: f.def})
	if err == nil || !strings.Contains(err.Error(), `on a worker of tenant "eu"`) {
		t.Errorf("error %v", err)
	}
}

// TestNew_SharedConfiguration: the group's where it is inherited, else the endpoint's override, never both (spec 1.6).
func TestNew_SharedConfiguration(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "", "a", "b", "c")
	g := &f.def.EndpointGroups[0]
	g.SharedConfiguration = json.RawMessage(`{"from":"group"}`)
	g.Endpoints[0].InheritConfiguration = true
	for i := range 2 {
		g.Endpoints[i].SharedConfigurationOverride = json.RawMessage(`{"from":"override"}`)
	}
	f.deploy()
	want := map[string]string{"a": `{"a":1}{"from":"group"}`, "b": `{"b":1}{"from":"override"}`, "c": `{"c":1}`}
	if diff := cmp.Diff(want, f.built); diff != "" {
		t.Errorf("built with (-want +got):\n%s", diff)
	}
}

func TestNew_ServicesWarn(t *testing.T) {
	t.Parallel()
	off := false
	f := newFarm(t, "", "a", "b")
	f.def.EndpointGroups[0].Services = &apidef.GroupServices{HealthCheck: &apidef.Service{Type: "x", Enabled: &off}}
	f.def.EndpointGroups[0].Endpoints[1].Services = &apidef.GroupServices{HealthCheck: &apidef.Service{Type: "x"}}
	api, err := flow.New(f.config(), flow.Deployment{API: f.def})
	if err != nil {
		t.Fatal(err)
	}
	if len(api.Warnings) != 1 || !strings.HasPrefix(api.Warnings[0], "/endpointGroups/0/endpoints/1/services/healthCheck ") {
		t.Errorf("warnings %q", api.Warnings)
	}
}
