package groovy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/groovy"
	"github.com/sluice-gateway/sluice/policies/script"
)

// TestType_NamesItsEquivalent: the step is refused, and what it says to begin with is a script of js.
func TestType_NamesItsEquivalent(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`request.headers.'X-A' = 'b'`:                                                               `request.headers().set('X-A', 'b')`,
		`request.headers.'X-A' = null`:                                                              `request.headers().remove('X-A')`,
		`if (response.headers['A'] == 'x') { println 'y' }`:                                         `if (response.header('A') == 'x') { console.log('y') }`,
		`context.attributes.'a' = request.path`:                                                     `context.set('a', request.path())`,
		`result.state = State.FAILURE; result.code = 400`:                                           `result.state = State.FAILURE; result.code = 400`,
		"import groovy.json.*\ndef m = new JsonSlurper().parseText(message.content)\nreturnJson(m)": "let m = JSON.parse(message.content())\nreturnJson(m)",
	} {
		cfg, err := json.Marshal(map[string]string{"script": source})
		if err != nil {
			t.Fatal(err)
		}
		_, problems := groovy.Type.Compile(cfg, policies.Env{})
		got := fmt.Sprint(problems.Err())
		_, made, _ := strings.Cut(got, "to begin with:\n")
		if problems.Err() == nil || problems[0].Pointer != "/script" || !strings.Contains(got, `use the policy "js"`) || made != want {
			t.Errorf("%s\ngot  %s\nwant %s", source, made, want)
		}
		if _, err := script.Compile(made, script.DefaultBounds().Options(script.Methods, nil)); err != nil {
			t.Errorf("%s: %v", made, err)
		}
	}
	if _, problems := groovy.Type.Compile(json.RawMessage(`{}`), policies.Env{}); problems.Err() == nil {
		t.Error("an empty step is not refused")
	}
}
