package rest

import (
	"testing"

	"github.com/sluice-gateway/sluice/proto/management"
)

// TestDocuments_OfWhatIsServed asks for both documents before and after a deployment: it is what is served that is told of.
func TestDocuments_OfWhatIsServed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	id := s.do("POST", root, definition(map[string]any{"plans": []any{map[string]any{"name": "Free", "status": "published", "security": map[string]any{"type": "key-less"}}}})).want(t, 201, "").body["id"].(string)
	one := root + "/" + id
	if got := s.do("GET", one+"/asyncapi", "").want(t, 200, ""); got.body["asyncapi"] != "3.0.0" || got.body["channels"].(map[string]any)["httpOrders"] == nil {
		t.Errorf("draft: %s", got.Body)
	}
	s.do("POST", one+"/deploy", "").want(t, 200, "")
	s.do("PUT", one, definition(map[string]any{"name": "Changed"})).want(t, 200, "")
	for query, title := range map[string]string{"": "Orders", "?draft=true": "Changed"} {
		got := s.do("GET", one+"/openapi"+query, "").want(t, 200, "")
		if got.body["info"].(map[string]any)["title"] != title || got.body["paths"].(map[string]any)["/orders"] == nil {
			t.Errorf("%q: %s", query, got.Body)
		}
	}
	s.do("GET", one+"/openapi?gateway=nonsense", "").want(t, 400, management.CodeParameter)
	s.do("GET", root+"/nobody/openapi", "").want(t, 404, management.CodeAPINotFound)
	proxy := s.do("POST", root, `{"name":"Echo","apiVersion":"1","definitionVersion":"4.0.0","type":"proxy","listeners":[{"type":"http","paths":[{"path":"/echo"}],"entrypoints":[{"type":"http-proxy"}]}],
		"endpointGroups":[{"name":"default","type":"http-proxy","endpoints":[{"name":"one","type":"http-proxy","configuration":{"target":"http://localhost"}}]}]}`).want(t, 201, "").body["id"].(string)
	s.do("GET", root+"/"+proxy+"/asyncapi", "").want(t, 400, management.CodeAPIType)
	s.do("GET", root+"/"+proxy+"/openapi", "").want(t, 200, "")
}
