// Package groovy is the policy "groovy" (policies.md 8.1), which is refused when a definition is saved: Groovy runs on a Java
// machine, which Sluice does not have. The error names the policy js, whose scripts do the same, and translates what can be
// translated by its words: the names of the objects, and how headers, content, attributes and failures are written. What comes out is
// where to begin, and is never run by itself.
//
// To deploy an API without the step, disable it; a step that is left out in silence could be the one that keeps somebody out.
package groovy

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of groovy. No field has an effect: the step is refused.
type Config struct {
	// Script is what would run.
	Script string `json:"script"`
	// ReadContent is accepted, as all that follow are, so that the one error is the one that counts.
	ReadContent bool `json:"readContent"`
	// OverrideContent has no effect.
	OverrideContent bool `json:"overrideContent"`
	// StrictExecutionTimeout has no effect.
	StrictExecutionTimeout bool `json:"strictExecutionTimeout"`
	// OnRequestScript would run in the request phase.
	OnRequestScript string `json:"onRequestScript"`
	// OnResponseScript would run in the response phase.
	OnResponseScript string `json:"onResponseScript"`
	// OnRequestContentScript would run on the request's content.
	OnRequestContentScript string `json:"onRequestContentScript"`
	// OnResponseContentScript would run on the response's content.
	OnResponseContentScript string `json:"onResponseContentScript"`
	// Scope has no effect.
	Scope string `json:"scope"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "groovy",
	Name:    "Groovy (refused)",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{},
	Compile: compile,
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	for _, s := range []struct{ name, source string }{{"script", c.Script}, {"onRequestScript", c.OnRequestScript}, {"onResponseScript", c.OnResponseScript},
		{"onRequestContentScript", c.OnRequestContentScript}, {"onResponseContentScript", c.OnResponseContentScript}} {
		if strings.TrimSpace(s.source) != "" {
			problems = append(problems, settings.Invalid("/"+s.name, refusal+suggestion(s.source)))
		}
	}
	if problems.Err() == nil {
		problems = append(problems, settings.Invalid("/script", refusal))
	}
	return nil, problems
}

const refusal = `is Groovy, which needs a Java machine and is not run; use the policy "js" (JavaScript), or disable the step`

// maxSuggested bounds a script that is translated, in bytes: longer ones need more than words.
const maxSuggested = 2000

// words are what is translated, in order.
var words = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`(?m)^\s*import\s+.*$\n?`), ""},
	{regexp.MustCompile(`(request|response|message)\.headers\.(?:'([^']+)'|"([^"]+)"|\[\s*['"]([^'"]+)['"]\s*\])\s*=\s*null`), "$1.headers().remove('$2$3$4')"},
	{regexp.MustCompile(`(request|response|message)\.headers(?:\.'([^']+)'|\."([^"]+)"|\[\s*['"]([^'"]+)['"]\s*\])\s*=([^=\n][^\n;]*)`), "$1.headers().set('$2$3$4',$5)"},
	{regexp.MustCompile(`(request|response|message)\.headers(?:\.'([^']+)'|\."([^"]+)"|\[\s*['"]([^'"]+)['"]\s*\])`), "$1.header('$2$3$4')"},
	{regexp.MustCompile(`(request|response|message)\.headers\.`), "$1.headers()."},
	{regexp.MustCompile(`context\.attributes(?:\.'([^']+)'|\."([^"]+)"|\[\s*['"]([^'"]+)['"]\s*\])\s*=([^=\n][^\n;]*)`), "context.set('$1$2$3',$4)"},
	{regexp.MustCompile(`context\.attributes(?:\.'([^']+)'|\."([^"]+)"|\[\s*['"]([^'"]+)['"]\s*\])`), "context.get('$1$2$3')"},
	{regexp.MustCompile(`(request|response|message)\.content\b`), "$1.content()"},
	{regexp.MustCompile(`\b(request|message)\.(id|method|path|pathInfo|contextPath|uri|host|parameters|metadata|attributes)\b`), "$1.$2()"},
	{regexp.MustCompile(`\bnew\s+(?:groovy\.json\.)?JsonSlurper\(\)\.parseText\(`), "JSON.parse("},
	{regexp.MustCompile(`\b(?:groovy\.json\.)?JsonOutput\.toJson\(`), "JSON.stringify("},
	{regexp.MustCompile(`\bdef\s+`), "let "},
	{regexp.MustCompile(`\bresult\.state\s*=\s*State\.FAILURE`), "result.state = State.FAILURE"},
	{regexp.MustCompile(`\bprintln\s*\(`), "console.log("},
	{regexp.MustCompile(`\bprintln\s+('[^'\n]*'|"[^"\n]*")`), "console.log($1)"},
}

// suggestion is the script in the words of js.
func suggestion(source string) string {
	if len(source) > maxSuggested {
		return ""
	}
	for _, w := range words {
		source = w.from.ReplaceAllString(source, w.to)
	}
	return "; to begin with:\n" + strings.TrimSpace(source)
}
