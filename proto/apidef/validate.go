package apidef

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Validation is what the rules need to know and this package cannot: which connectors and policies there are. A nil
// field leaves its checks to someone else. The functions may be called several times for one definition, from the
// goroutine that validates, and must not keep what they are given.
type Validation struct {
	// Entrypoint and Endpoint look a connector up by its type.
	Entrypoint func(typ string) (EntrypointInfo, bool)
	Endpoint   func(typ string) (EndpointInfo, bool)
	// EntrypointTypes and EndpointTypes are the known types, for the text of errors.
	EntrypointTypes []string
	EndpointTypes   []string
	// Promised tells whether a type that is not known is one that a later version will have; nil: none is.
	Promised func(typ string) bool
	// SupportedQoS are the levels possible between two connectors, in the order they are told to people.
	SupportedQoS func(entrypoint, endpoint string) []string
	// ExplainQoS tells people why a level that SupportedQoS lacks cannot be had, and what can; nil: that it is not possible.
	ExplainQoS func(entrypoint, endpoint, level string) string
	// CheckEntrypoint checks an entrypoint's settings. Pointers are relative to the configuration; cfg may be nil.
	CheckEntrypoint func(typ string, cfg json.RawMessage) Problems
	// CheckEndpoint checks an endpoint's settings: its own, and the shared ones that take effect for it, which are its
	// group's where it inherits them and else its override. Pointers begin with InConfiguration or
	// InSharedConfiguration to tell which they are about; they are brought to where those settings really stand.
	CheckEndpoint func(typ string, cfg, shared json.RawMessage) Problems
	// Policy tells whether there is a policy of a name; PolicyNames are those there are, for the text of errors.
	Policy      func(name string) bool
	PolicyNames []string
	// CheckPolicy checks a policy's settings. Phase is the member of the flow: request, response, subscribe ...;
	// pointers are relative to the configuration.
	CheckPolicy func(name, phase string, cfg json.RawMessage) Problems
}

// Prefixes of the pointers that Validation.CheckEndpoint returns.
const (
	InConfiguration       = "/configuration"
	InSharedConfiguration = "/sharedConfiguration"
)

// EntrypointInfo is what an entrypoint connector is made for.
type EntrypointInfo struct {
	Listener ListenerType
	API      Type
	QoS      []string // levels it offers; empty: it knows no levels
	Modes    []string // publish, subscribe, request-response, socket
	Features []string // limit, resume, dlq, cors
}

// EndpointInfo is what an endpoint connector is made for.
type EndpointInfo struct {
	API      Type
	QoS      []string
	Modes    []string
	Features []string
}

// Names in EntrypointInfo and EndpointInfo that the rules ask for.
const (
	FeatureDLQ  = "dlq"
	ModePublish = "publish"
)

// Validate applies every rule of a definition and returns all that is wrong, in document order, with pointers into
// the document as the user wrote it. What was found in reading it is among them; a rule says nothing about a value
// that could not be read.
func (d *Document) Validate(env Validation) Problems {
	c := &checker{api: d.API, env: env}
	apiShape.check(c, "", d.API)
	c.checkAPI()
	all := slices.Clone(d.problems)
	unreadable := all.Errors()
	for _, p := range c.all() {
		p.Pointer = d.origins.of(p.Pointer)
		told := func(e Problem) bool { return within(p.Pointer, e.Pointer) }
		if !slices.ContainsFunc(unreadable, told) {
			all = append(all, p)
		}
	}
	return d.place(all)
}

// Validate applies every rule of a definition, with pointers into the normal form.
func (a *API) Validate(env Validation) Problems {
	w := &writer{dialect: Gateway, kept: kept(a)}
	d := &Document{API: a, Dialect: Gateway, tree: apiShape.write(w, "", *a)}
	d.problems = w.problems
	return d.Validate(env)
}

// checker collects what the rules find, with pointers into the normal form.
type checker struct {
	collector
	api *API
	env Validation
}

func (c *checker) fail(at, code, format string, args ...any) {
	c.report(at, Error, code, fmt.Sprintf(format, args...))
}

func (c *checker) warn(at, code, format string, args ...any) {
	c.report(at, Warning, code, fmt.Sprintf(format, args...))
}

func (c *checker) report(at string, s Severity, code, message string) {
	c.add(Problem{Pointer: at, Message: message, Code: code, Severity: s})
}

// adopt takes over problems that a connector or policy found in its settings.
func (c *checker) adopt(at string, found Problems) {
	for _, p := range found {
		if p.Severity == "" {
			p.Severity = Error
		}
		c.report(at+p.Pointer, p.Severity, p.Code, p.Message)
	}
}

func (c *checker) checkAPI() {
	if _, known := apiTypes.parse(string(c.api.Type)); !known {
		return // which rules hold depends on the type, and its absence is reported
	}
	c.checkListeners()
	c.checkGroups()
	c.checkFlows("/flows", c.api.Flows)
	c.checkPlans()
	c.checkAnalytics()
	c.checkFailover()
	c.checkResources()
	c.checkResponseTemplates()
	if c.api.Type == TypeNative {
		c.checkNative()
	}
}

// checkNative refuses what a native API does not have (spec 9.8).
func (c *checker) checkNative() {
	if c.api.FlowExecution != nil {
		c.fail("/flowExecution", CodeNativeUnsupported, "a native API has no flow execution; every flow runs")
	}
	if len(c.api.ResponseTemplates) > 0 {
		c.fail("/responseTemplates", CodeNativeUnsupported, "a native API has no response templates; Kafka has its own error codes")
	}
	for i, g := range c.api.EndpointGroups {
		if s := g.Services; s != nil && (s.Discovery != nil || s.HealthCheck != nil) {
			c.fail(itemOf("/endpointGroups", i)+"/services", CodeNativeUnsupported, "an endpoint group of a native API has no services")
		}
	}
}

// unknown says what an unknown type of connector is.
func (c *checker) unknown(typ, role string) string {
	if c.env.Promised != nil && c.env.Promised(typ) {
		return " is not served yet by this version"
	}
	return " is no " + role
}

// known lists the types in an error, for the reader to choose from.
func known(types []string) string {
	if len(types) == 0 {
		return ""
	}
	return "; choose one of: " + strings.Join(types, ", ")
}
