package apidef_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

func TestSchema_Golden(t *testing.T) {
	t.Parallel()
	compareText(t, "testdata/schema/api-v4.json", apidef.Schema())
}

// TestSchema_AcceptsWhatIsWritten: whatever a dialect may say is allowed by the schema.
func TestSchema_AcceptsWhatIsWritten(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		api := drawAPI(t)
		api.APIVersion = "1.0" // the rest of what is required
		api.Listeners = append(api.Listeners, drawListener(t))
		api.EndpointGroups = append(api.EndpointGroups, drawGroup(t))
		for i := range api.EndpointGroups {
			fillGroup(&api.EndpointGroups[i])
		}
		for i := range api.Listeners {
			fillListener(&api.Listeners[i])
		}
		for i := range api.Properties {
			api.Properties[i].Key += "k"
		}
		if api.Analytics != nil && api.Analytics.MessageSampling != nil {
			api.Analytics.MessageSampling.Value += "1"
		}
		for _, dialect := range []apidef.Dialect{apidef.Gateway, apidef.Management} {
			text, err := apidef.Encode(api, dialect)
			if err != nil {
				t.Fatal(err)
			}
			instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err != nil {
				t.Skip("a number that the schema library cannot hold")
			}
			if err := schema.Validate(instance); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
		}
	})
}

func fillGroup(g *apidef.EndpointGroup) {
	g.Name, g.Type = g.Name+"g", g.Type+"t"
	for i := range g.Endpoints {
		e := &g.Endpoints[i]
		e.Name, e.Type = e.Name+"e", e.Type+"t"
	}
}

func fillListener(l *apidef.Listener) {
	l.Entrypoints = append(l.Entrypoints, apidef.Entrypoint{})
	for i := range l.Entrypoints {
		e := &l.Entrypoints[i]
		e.Type += "t"
		if e.DLQ != nil {
			e.DLQ.Endpoint += "e"
		}
	}
}

// TestSchema_RefusesWhatIsMissing: the schema names what is required.
func TestSchema_RefusesWhatIsMissing(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t)
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"seed", string(readFile(t, "testdata/seeds/data-ingestion.json")), true},
		{"nothing", `{}`, false},
		{"version for apiVersion", `{"name":"a","type":"PROXY","version":"1","listeners":[],"endpointGroups":[]}`, true},
		{"no apiVersion", `{"name":"a","type":"PROXY","listeners":[],"endpointGroups":[]}`, false},
		{"unknown level", `{"name":"a","type":"async","apiVersion":"1","listeners":[{"type":"http","entrypoints":[{"type":"sse","qos":"twice"}]}],"endpointGroups":[]}`, false},
		{"plans as a map", `{"name":"a","type":"PROXY","apiVersion":"1","listeners":[],"endpointGroups":[],"plans":{"k":{"name":"x"}}}`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var instance any
			if err := json.Unmarshal([]byte(tt.text), &instance); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(instance); (err == nil) != tt.ok {
				t.Errorf("valid: %v, want %v: %v", err == nil, tt.ok, err)
			}
		})
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(apidef.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:sluice:api-v4", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("urn:sluice:api-v4")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
