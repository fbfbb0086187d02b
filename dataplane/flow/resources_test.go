package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/exchange"
)

// diary notes what is built and closed, in order.
type diary struct{ lines []string }

func (d *diary) note(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// closing is a policy or a resource that notes its end.
type closing struct {
	name  string
	diary *diary
}

func (c *closing) Close() error { c.diary.note("close %s", c.name); return nil }

func (c *closing) OnRequest(context.Context, *policies.Context) error {
	c.diary.note("run %s", c.name)
	return nil
}

// store is a resource type that notes its configuration.
func store(d *diary) resource.Catalog {
	return resource.List(resource.Type{ID: "store", Aliases: []string{"stock"}, Compile: func(cfg json.RawMessage, env resource.Env) (any, apidef.Problems) {
		c := struct {
			Name string `json:"name"`
			Size int    `json:"size"`
		}{}
		problems := settings.Decode(cfg, &c)
		if c.Name == "" || env.Dial == nil {
			problems = append(problems, settings.Invalid("/name", "is required"))
		}
		d.note("build %s %d", c.Name, c.Size)
		return &closing{c.Name, d}, problems
	}})
}

// user is a policy that uses the resource of its configuration.
func user(d *diary) policies.Type {
	return policies.Type{ID: "user", Phases: policies.Request, Compile: func(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
		c := struct {
			Resource string `json:"resource"`
		}{}
		problems := settings.Decode(cfg, &c)
		found, _ := env.Resource(c.Resource).(*closing)
		if found == nil || env.Dial == nil {
			return nil, append(problems, settings.Invalid("/resource", "no resource "+c.Resource))
		}
		d.note("use %s", found.name)
		return &closing{"policy of " + found.name, d}, problems
	}}
}

func usingResources(d *diary, resources, flows string) (flow.Config, flow.Deployment) {
	def := planetest.API("/a/", "http-post")
	for _, part := range []struct {
		text string
		into any
	}{{resources, &def.Resources}, {flows, &def.Flows}, {`[{"key":"size","value":"7"}]`, &def.Properties}} {
		if err := json.Unmarshal([]byte(part.text), part.into); err != nil {
			panic(err) // written below
		}
	}
	cfg := planetest.Config(&planetest.Entrypoint{HandleFunc: func(context.Context, *exchange.Exchange, connectors.Backend) {}}, nil, nil)
	cfg.Policies, cfg.Resources = policies.List(user(d)), store(d)
	return cfg, flow.Deployment{ID: "a", API: def}
}

const useOne = `[{"request":[{"policy":"user","configuration":{"resource":"one"}}]}]`

// TestResources_LiveWithTheRevision: what is built is closed after the last request that could run it, policies before their
// resources.
func TestResources_LiveWithTheRevision(t *testing.T) {
	t.Parallel()
	var d diary
	cfg, deployment := usingResources(&d, `[{"name":"one","type":"stock","configuration":{"name":"first {#properties['size']}","size":"{#properties['size']}"}},
{"name":"two","type":"store","enabled":false,"configuration":{}}]`, useOne)
	api, err := flow.New(cfg, deployment)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- api.Run(ctx, func() { close(ready) }) }()
	<-ready
	x := planetest.Exchange()
	x.HTTP.Request.Header.SetMethod("POST")
	x.PathInfo = "/"
	api.Serve(x)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want := []string{"build first 7 7", "use first 7", "run policy of first 7", "close policy of first 7", "close first 7"}
	if !slices.Equal(d.lines, want) {
		t.Errorf("got  %q\nwant %q", d.lines, want)
	}
}

// TestResources_StayForWhatADrainCutOff: a request that outlives the drain is the one that closes.
func TestResources_StayForWhatADrainCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d diary
		cfg, deployment := usingResources(&d, `[{"name":"one","type":"store","configuration":{"name":"n"}}]`, useOne)
		entered, leave := make(chan struct{}), make(chan struct{})
		cfg.Entrypoints = planetest.Config(&planetest.Entrypoint{HandleFunc: func(context.Context, *exchange.Exchange, connectors.Backend) {
			close(entered)
			<-leave
		}}, nil, nil).Entrypoints
		api, err := flow.New(cfg, deployment)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done, served := make(chan error, 1), make(chan struct{})
		go func() {
			done <- api.Run(ctx, func() {
				go func() {
					defer close(served)
					x := planetest.Exchange()
					x.HTTP.Request.Header.SetMethod("POST")
					x.PathInfo = "/"
					api.Serve(x)
				}()
			})
		}()
		<-entered
		stop()
		if err := <-done; !errors.Is(err, flow.ErrCutOff) {
			t.Fatal(err)
		}
		if n := d.count("close "); n != 0 {
			t.Errorf("closed while a request runs: %q", d.lines)
		}
		close(leave)
		<-served
		if n := d.count("close "); n != 2 {
			t.Errorf("not closed: %q", d.lines)
		}
	})
}

// TestResources_AreCheckedWithTheirPlace: what is wrong with a resource is told, and what was built is closed. When a definition is
// only checked, values that a worker evaluates are not known and not held against it.
func TestResources_AreCheckedWithTheirPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, resources, flows, checked, built string }{
		{"all is well", `[{"name":"one","type":"store","configuration":{"name":"n"}}]`, useOne, "", ""},
		{"configuration", `[{"name":"one","type":"store","configuration":{"size":"x"}}]`, `[]`,
			"/resources/0/configuration/name, /resources/0/configuration/size", "/resources/0/configuration/name, /resources/0/configuration/size"},
		{"expression", `[{"name":"one","type":"store","configuration":{"name":"{#properties[}"}}]`, `[]`, "/resources/0/configuration/name", "/resources/0/configuration/name"},
		{"expression of a request", `[{"name":"one","type":"store","configuration":{"name":"{#request.id}"}}]`, `[]`, "/resources/0/configuration/name", "/resources/0/configuration/name"},
		{"known on the worker", `[{"name":"one","type":"store","configuration":{"name":"n","size":"{#properties['none']}x"}}]`, useOne, "", "/flows/0/request/0/configuration/resource, /resources/0/configuration/size"},
		{"disabled", `[{"name":"one","type":"store","enabled":false}]`, useOne, "/flows/0/request/0/configuration/resource", "/flows/0/request/0/configuration/resource"},
		{"unknown type", `[{"name":"one","type":"strange"}]`, useOne, "/flows/0/request/0/configuration/resource", "/flows/0/request/0/configuration/resource"},
		{"unknown type that nobody uses", `[{"name":"one","type":"strange"}]`, `[]`, "", ""},
	} {
		var d diary
		cfg, deployment := usingResources(&d, c.resources, c.flows)
		cfg.Log = slog.New(slog.DiscardHandler)
		found := flow.Check(cfg, deployment)
		if got := pointers(found.Errors()); got != c.checked {
			t.Errorf("%s, checked: %s, want %s", c.name, got, c.checked)
		}
		for _, p := range found.Errors() {
			if !flow.OfFlows(p) {
				t.Errorf("%s: %v is not refused at save", c.name, p)
			}
		}
		if d.count("build ")+d.count("use ") != d.count("close ") {
			t.Errorf("%s: left open: %q", c.name, d.lines)
		}
		d.lines = nil
		_, err := flow.New(cfg, deployment)
		ps, _ := err.(apidef.Problems)
		if got := pointers(ps); got != c.built {
			t.Errorf("%s, built: %s, want %s", c.name, got, c.built)
		}
		if err != nil && d.count("build ")+d.count("use ") != d.count("close ") {
			t.Errorf("%s: left open: %q", c.name, d.lines)
		}
	}
}

func (d *diary) count(prefix string) (n int) {
	for _, l := range d.lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func pointers(ps apidef.Problems) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Pointer)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
