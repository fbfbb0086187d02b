package connectors_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

type config struct {
	Name   string   `json:"name"`
	Count  int      `json:"count"`
	On     bool     `json:"on"`
	Topics []string `json:"topics"`
	Inner  struct {
		Deep *bool `json:"deep"`
	} `json:"inner"`
}

func TestDecode_ProblemsAllAtOnce(t *testing.T) {
	t.Parallel()
	c := config{Count: 7}
	got := connectors.Decode([]byte(`{"name":{}, "on":"true", "topics":["a",1], "inner":{"deep":[], "dep":1}, "a/b":1}`), &c)
	want := apidef.Problems{
		{Pointer: "/a~1b", Code: connectors.CodeUnknown, Severity: apidef.Warning, Message: "is unknown and has no effect; known are count, inner, name, on, topics"},
		{Pointer: "/inner/deep", Code: connectors.CodeInvalid, Severity: apidef.Error, Message: "must be true or false, not a list"},
		{Pointer: "/inner/dep", Code: connectors.CodeUnknown, Severity: apidef.Warning, Message: "is unknown and has no effect; known are deep"},
		{Pointer: "/name", Code: connectors.CodeInvalid, Severity: apidef.Error, Message: "must be text, not an object"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if c.Count != 7 || !c.On || len(c.Topics) != 2 || c.Topics[1] != "1" {
		t.Errorf("decoded %+v", c)
	}
}
