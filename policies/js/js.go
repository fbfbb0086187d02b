// Package js is the policy "js" (policies.md 8.2): a script in JavaScript that reads and changes requests, answers and messages
// through methods.
//
// It runs in the phases request, response, publish and subscribe. On request and response the script sees request (id, method,
// path, pathInfo, contextPath, uri, host, scheme, version, timestamp, remoteAddress, localAddress, transactionId, parameters,
// header, headers, content), response (status, reason, header, headers, content; in the phase response) and context
// (attributes: get, set, remove; dictionaries, properties); on publish and subscribe message (content, header, headers, key, topic, id, timestamp,
// metadata, attributes, attribute, setAttribute) and context. All of these are methods: request.content() reads, request.content(text)
// replaces. headers() has get, getAll, set, add, remove, contains and names. result.fail(code, error, key) ends the exchange,
// or the message's way, with that failure. There are also Base64, atob, btoa and console, which writes to the worker's log at level debug.
//
// A script that throws is a 500 JS_EXECUTION_FAILURE "JavaScript execution failed", and one that takes longer than timeout is
// one with the text "Timeout". What a run makes is counted against memoryLimit. Nothing is kept between runs.
//
// On subscribe a script that names neither context nor what gives another value each time (Date, Math, this) runs once per message for all
// subscribers.
//
// Differences from the reference: the language is ES2015 with most of what came later, without eval, Function, typed arrays
// and BigInt, since what they make cannot be bounded; timeout and memoryLimit are set per step; the content type of result.fail has no effect.
package js

import (
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/script"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of js.
type Config struct {
	// Script is what runs. Required.
	Script string `json:"script"`
	// ReadContent lets the script read and replace the content. Default false.
	ReadContent bool `json:"readContent"`
	// OverrideContent has what the script completes with become the content, unless it is null or undefined. It needs
	// ReadContent. Default false.
	OverrideContent bool `json:"overrideContent"`
	// Scope has no effect: the phase of the step decides.
	Scope string `json:"scope"`

	script.Bounds
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "js",
	Name:    "JavaScript (methods)",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{Bounds: script.DefaultBounds()},
	Compile: compile,
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := &Config{Bounds: script.DefaultBounds()}
	problems := append(settings.Decode(cfg, c), c.Check()...)
	if strings.TrimSpace(c.Script) == "" {
		problems = append(problems, settings.Invalid("/script", "is required: what runs"))
	}
	if c.OverrideContent && !c.ReadContent {
		problems = append(problems, settings.Invalid("/overrideContent", "needs readContent"))
	}
	if problems.Err() != nil {
		return nil, problems
	}
	s := &script.Step{Content: c.ReadContent, Override: c.OverrideContent, Key: "JS_EXECUTION_FAILURE", Text: "JavaScript execution failed", Timeout: "Timeout"}
	return s, append(problems, s.Add("/script", c.Script, c.Options(script.Methods, env.Log))...)
}
