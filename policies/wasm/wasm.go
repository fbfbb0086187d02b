// Package wasm is the policy "wasm", an addition of Sluice: a WebAssembly module, in any language that compiles to it, reads and
// changes requests, answers and messages. docs/policies-wasm.md is the interface that modules are written against.
//
// It runs in the phases request, response, publish and subscribe, and calls the module's function of that phase: on_request,
// on_response, on_publish or on_subscribe, or on_message for both of the latter. The function returns 0 where the exchange or
// message goes on, 1 where the message is dropped (and counts as received) or the exchange ends with the answer as it stands,
// and 2 where it fails with what the module told (fail).
//
// A module has no access to the worker: no files, no network, no clock, no WASI. It is bounded in time (timeout) and in
// memory (memoryLimit); one that traps, exceeds its time or returns anything else is a 500 WASM_EXECUTION_FAILURE. Instances are
// kept for the next run unless isolated is set, so what a module keeps in its memory may be seen by later runs of the same step, in no
// certain order.
//
// Modules are read, compiled and tried when the API is deployed: what they import that is not offered, and functions that are missing or
// have another signature, are told then.
package wasm

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of wasm.
type Config struct {
	// Module is the module, in base64. One of Module and File is required.
	Module string `json:"module"`
	// File is a file of the worker that holds the module; it is read when the API is deployed.
	File string `json:"file"`
	// Parameters are given to the module as they are, up to 64 KiB. Default: none.
	Parameters string `json:"parameters"`
	// Timeout bounds a run, in milliseconds: 10 to 1000. Default 100.
	Timeout int `json:"timeout"`
	// MemoryLimit bounds the memory of an instance, in bytes: 65536 to 268435456. Default 16777216. At most twice as many instances as
	// the worker has processors are kept.
	MemoryLimit int `json:"memoryLimit"`
	// Isolated makes an instance for each run, so that nothing is kept. Default false.
	Isolated bool `json:"isolated"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "wasm",
	Name:    "WebAssembly",
	Phases:  policies.Request | policies.Response | policies.Publish | policies.Subscribe,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config { return &Config{Timeout: 100, MemoryLimit: 16 << 20} }

// Bounds of the configuration.
const (
	page          = 64 << 10
	maxModule     = 16 << 20
	maxParameters = 64 << 10
)

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	fail := func(pointer, format string, args ...any) {
		problems = append(problems, settings.Invalid(pointer, fmt.Sprintf(format, args...)))
	}
	if c.Timeout < 10 || c.Timeout > 1000 {
		fail("/timeout", "must be between 10 and 1000 milliseconds")
	}
	if c.MemoryLimit < page || c.MemoryLimit > 256<<20 {
		fail("/memoryLimit", "must be between 65536 and 268435456 bytes")
	}
	if len(c.Parameters) > maxParameters {
		fail("/parameters", "must be shorter than %d bytes", maxParameters)
	}
	at, code, err := c.read()
	if err != nil {
		fail(at, "%v", err)
	}
	if problems.Err() != nil {
		return nil, problems
	}
	p, err := newPolicy(code, c, env)
	if err != nil {
		fail(at, "%v", err)
		return nil, problems
	}
	return p, problems
}

// read returns the module, and where the definition tells of it.
func (c *Config) read() (at string, code []byte, err error) {
	switch {
	case c.Module != "" && c.File != "":
		return "/file", nil, fmt.Errorf("stands beside module; give one of them")
	case c.File != "":
		info, err := os.Stat(c.File)
		if err != nil {
			return "/file", nil, fmt.Errorf("cannot be read on this worker: %w", err)
		}
		if info.Size() > maxModule {
			return "/file", nil, fmt.Errorf("is larger than %d bytes", maxModule)
		}
		code, err := os.ReadFile(c.File)
		return "/file", code, err
	case c.Module == "":
		return "/module", nil, fmt.Errorf("is required: a WebAssembly module, in base64")
	case len(c.Module) > maxModule:
		return "/module", nil, fmt.Errorf("is larger than %d bytes", maxModule)
	}
	if code, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.Module), "")); err != nil {
		return "/module", nil, fmt.Errorf("is not base64")
	}
	return "/module", code, nil
}

func (c *Config) limit() time.Duration { return time.Duration(c.Timeout) * time.Millisecond }
