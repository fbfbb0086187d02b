package rest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

func TestTry(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(_ *Config, d *Deps) {
		d.Try = func(_ context.Context, api *apidef.API, tr management.Trial) (*management.TrialReport, error) {
			switch tr.Phase {
			case "broken":
				return nil, apidef.Problems{{Pointer: "/flows/0", Code: "x", Severity: apidef.Error, Message: "is wrong"}}
			case "away":
				return nil, errors.New("the broker is away")
			}
			return &management.TrialReport{Messages: []management.TrialResult{{Result: api.Name, In: tr.Messages[0]}}}, nil
		}
	})
	path := root + "/_try"
	draft := `{"definition":` + definition(nil) + `,"messages":[{"content":"x"}],"phase":"PHASE"}`
	try := func(phase string) answerOf { return s.do("POST", path, strings.Replace(draft, "PHASE", phase, 1)) }
	if got := try("subscribe").want(t, 200, ""); got.body["messages"].([]any)[0].(map[string]any)["result"] != "Orders" {
		t.Errorf("%s", got.Body)
	}
	if got := try("broken").want(t, 400, "x"); !strings.Contains(got.Body.String(), "/definition/flows/0") {
		t.Errorf("%s", got.Body)
	}
	try("away").want(t, 400, management.CodeTrialFailed)
	s.do("POST", path, `{"definition":{"name":1}}`).want(t, 400, apidef.CodeMemberType)
	s.do("POST", path, `[`).want(t, 400, apidef.CodeMalformed)
}
