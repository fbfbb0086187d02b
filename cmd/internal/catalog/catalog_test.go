package catalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cmd/internal/catalog"
	"github.com/sluice-gateway/sluice/connectors/builtin"
	policies "github.com/sluice-gateway/sluice/policies/builtin"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

var (
	env        = catalog.Validation(builtin.Entrypoints, builtin.Endpoints)
	deployable = catalog.Deployable(builtin.Entrypoints, builtin.Endpoints, policies.Policies, policies.Resources, nil)
	validate   = catalog.Validate(env, deployable)
)

// TestValidate_SeedsAreStored: all four definitions of the guides are stored by a binary with these connectors.
func TestValidate_SeedsAreStored(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../proto/apidef/testdata/seeds/*.[jy]*")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d seeds, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := apidef.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if found := validate(doc).Errors(); len(found) > 0 {
			t.Errorf("%s:\n%v", file, found)
		}
	}
}

// TestDeployable_Kinds: PROXY and NATIVE APIs say where and why they cannot be deployed.
func TestDeployable_Kinds(t *testing.T) {
	t.Parallel()
	for _, kind := range []apidef.Type{apidef.TypeProxy, apidef.TypeNative} {
		found := deployable(&apidef.API{Type: kind})
		if len(found) != 1 || found[0].Pointer != "/type" || !strings.Contains(found[0].Message, "not served yet") {
			t.Errorf("%s: %v", kind, found)
		}
	}
}

const api = `{"name":"a","apiVersion":"1","definitionVersion":"V4","type":"MESSAGE",
"listeners":[{"type":"HTTP","paths":[{"path":"/a"}],"cors":{"enabled":true,"allowMethods":["GET"]},"entrypoints":[{"type":"sse","qos":"AUTO"}]}],
"endpointGroups":[{"name":"g","type":"kafka","sharedConfiguration":{"consumer":{"enabled":true,"topics":["t"],"autoOffsetReset":"sometimes"}},
"endpoints":[{"name":"e","type":"kafka","inheritConfiguration":true,"configuration":{"bootstrapServers":"b:9092","flavour":1}}]}],
"plans":[{"name":"p","status":"PUBLISHED","security":{"type":"KEY_LESS"}}]}`

// TestValidate_Pointers: what a connector finds in its own and in the shared configuration is told where the user wrote it.
func TestValidate_Pointers(t *testing.T) {
	t.Parallel()
	doc, err := apidef.Decode([]byte(api))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]apidef.Severity{}
	for _, p := range validate(doc) {
		got[p.Pointer] = p.Severity
	}
	for pointer, severity := range map[string]apidef.Severity{
		"/endpointGroups/0/sharedConfiguration/consumer/autoOffsetReset": apidef.Error,
		"/endpointGroups/0/endpoints/0/configuration/flavour":            apidef.Warning,
	} {
		if got[pointer] != severity {
			t.Errorf("%s: %q, want %q; all: %v", pointer, got[pointer], severity, got)
		}
	}
}

// TestValidate_WarnsOfWhatHasNoEffect: a right definition with a part that this version does not do says so.
func TestValidate_WarnsOfWhatHasNoEffect(t *testing.T) {
	t.Parallel()
	text := strings.Replace(api, "sometimes", "latest", 1)
	doc, err := apidef.Decode([]byte(text[:len(text)-1] + `,"failover":{"enabled":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	found := validate(doc)
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(found.Warnings().Error(), "/failover  has no effect yet") {
		t.Errorf("warnings:\n%v", found)
	}
}

// TestValidate_FlowsAreRefusedAtSave: what no worker could run is told with its place when it is saved.
func TestValidate_FlowsAreRefusedAtSave(t *testing.T) {
	t.Parallel()
	const flows = `,"flows":[{"selectors":[{"type":"CONDITION","condition":"{#context.}"}],"subscribe":[
{"policy":"message-filtering","configuration":{"filter":"{#message.headers['a' == }"}},
{"policy":"policy-interrupt","configuration":{"errorKey":"K","message":"m"}},
{"policy":"no-such-policy"}]}]}`
	text := strings.Replace(api, "sometimes", "latest", 1)
	doc, err := apidef.Decode([]byte(text[:len(text)-1] + flows))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range validate(doc).Errors() {
		got[p.Pointer] = p.Message
	}
	for pointer, want := range map[string]string{
		"/flows/0/selectors/0/condition":            "is no expression: at 1:",
		"/flows/0/subscribe/0/configuration/filter": "at 1:",
		"/flows/0/subscribe/1/policy":               `policy "policy-interrupt" cannot run in phase subscribe; its phases are: request, response`,
		"/flows/0/subscribe/2/policy":               `policy "no-such-policy" is not served by this version`,
	} {
		if !strings.HasPrefix(got[pointer], want) {
			t.Errorf("%s: %q, want %q; all: %v", pointer, got[pointer], want, got)
		}
	}
}
