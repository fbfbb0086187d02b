// Package javascript is the policy "javascript" (policies.md 8.2): a script in JavaScript that reads and changes requests, answers
// and messages through fields.
//
// It runs in the phases request, response, publish and subscribe. On request and response the script sees request (id, method,
// path, pathInfo, contextPath, uri, host, scheme, version, timestamp, remoteAddress, localAddress, transactionId, parameters,
// headers, content), response (status, reason, headers, content; in the phase response) and context (attributes, dictionaries, properties); on
// publish and subscribe message (content, headers, key, topic, id, timestamp, metadata, attributes, setAttribute) and
// context. request.headers['X'] reads, request.headers['X'] = 'y' sets and null removes; get, getAll, set, add, remove, containsKey and names are
// there too. result.state = State.FAILURE, with result.code (500), result.error and result.key, ends the exchange, or the message's
// way, with that failure.
//
// With readContent the script may read the content, and with overrideContent the value that it completes with becomes the content;
// null and undefined leave it. Of onRequestScript, onResponseScript, onRequestContentScript and onResponseContentScript those of
// the step's phase run before script, and those with Content in their name imply both settings.
//
// A script that throws, takes longer than timeout or makes more than memoryLimit is a 500 JAVASCRIPT_EXECUTION_FAILURE
// "Internal Server Error". Nothing is kept between runs.
//
// On subscribe a script that names neither context nor what gives another value each time (Date, Math, this) runs once per
// message for all subscribers.
//
// Differences from the reference: a message whose script completes with null is kept and acknowledged, and result is honoured for
// messages too; the language is ES2015 with most of what came later, without Java's classes, httpClient, eval, Function, typed
// arrays and BigInt; timeout and memoryLimit are set per step; result.contentType has no effect.
package javascript

import (
	"encoding/json"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/script"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of javascript.
type Config struct {
	// Script is what runs. One of the scripts is required.
	Script string `json:"script"`
	// ReadContent lets the script read the content. Default false.
	ReadContent bool `json:"readContent"`
	// OverrideContent has what the script completes with become the content, unless it is null or undefined. Default false.
	OverrideContent bool `json:"overrideContent"`
	// OnRequestScript and OnResponseScript run in their phase, before Script.
	OnRequestScript  string `json:"onRequestScript"`
	OnResponseScript string `json:"onResponseScript"`
	// OnRequestContentScript and OnResponseContentScript do too, and imply ReadContent and OverrideContent.
	OnRequestContentScript  string `json:"onRequestContentScript"`
	OnResponseContentScript string `json:"onResponseContentScript"`
	// Scope has no effect: the phase of the step decides.
	Scope string `json:"scope"`

	script.Bounds
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "javascript",
	Name:    "JavaScript",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  &Config{Bounds: script.DefaultBounds()},
	Compile: compile,
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := &Config{Bounds: script.DefaultBounds()}
	problems := append(settings.Decode(cfg, c), c.Check()...)
	s := &script.Step{Content: c.ReadContent, Override: c.OverrideContent, Key: "JAVASCRIPT_EXECUTION_FAILURE",
		Text: "Internal Server Error", Timeout: "Internal Server Error"}
	o := c.Options(script.Fields, env.Log)
	for _, own := range []struct {
		phase         policies.Phase
		name, source  string
		contentScript bool
	}{
		{policies.Request, "onRequestScript", c.OnRequestScript, false},
		{policies.Request, "onRequestContentScript", c.OnRequestContentScript, true},
		{policies.Response, "onResponseScript", c.OnResponseScript, false},
		{policies.Response, "onResponseContentScript", c.OnResponseContentScript, true},
		{env.Phase, "script", c.Script, false},
	} {
		before := len(s.Programs)
		problems = append(problems, s.Add("/"+own.name, own.source, o)...)
		if len(s.Programs) == before {
			continue
		}
		if own.phase != env.Phase {
			s.Programs = s.Programs[:before] // it was looked at, and is for the other phase
			continue
		}
		if own.contentScript {
			s.Content, s.Override = true, true
		}
	}
	if len(s.Programs) == 0 && problems.Err() == nil && c.Script+c.OnRequestScript+c.OnResponseScript+c.OnRequestContentScript+c.OnResponseContentScript == "" {
		problems = append(problems, settings.Invalid("/script", "is required: what runs"))
	}
	return s, problems
}
