// Package apidef is the V4 API definition: the one normal form that every dialect decodes to, its validation,
// and its encoders. It is data: no I/O, no clock, no goroutine. It does not know which connectors exist; who
// validates passes that in (see Validation).
//
// A text becomes a tree (decode_json.go, decode_yaml.go), the tree's envelope and dialect are found (dialect.go), and
// the tables of shape_*.go read it: one table per object, one row per member, each row a codec (codec.go) that reads,
// writes, checks and describes its value. The rules that span members are in validate_*.go. Every problem carries a
// pointer into the text as the user wrote it; where the normal form parts from that, the reader notes the origin.
package apidef

import "encoding/json"

// API is one V4 API definition in normal form: enums lower-case and hyphenated (the gateway dialect), paths
// sanitised, plans as an ordered list, every opaque configuration a JSON object.
type API struct {
	ID                string                                 `json:"id,omitempty"`
	CrossID           string                                 `json:"crossId,omitempty"`
	Name              string                                 `json:"name"`
	Description       string                                 `json:"description,omitempty"`
	Type              Type                                   `json:"type"`
	APIVersion        string                                 `json:"apiVersion"`
	DefinitionVersion string                                 `json:"definitionVersion"`
	Tags              []string                               `json:"tags,omitempty"` // sharding tags; empty: every worker
	Listeners         []Listener                             `json:"listeners,omitempty"`
	EndpointGroups    []EndpointGroup                        `json:"endpointGroups,omitempty"` // the first one is the default group
	Properties        []Property                             `json:"properties,omitempty"`
	Resources         []Resource                             `json:"resources,omitempty"`
	Plans             []Plan                                 `json:"plans,omitempty"`
	FlowExecution     *FlowExecution                         `json:"flowExecution,omitempty"`
	Flows             []Flow                                 `json:"flows,omitempty"`
	ResponseTemplates map[string]map[string]ResponseTemplate `json:"responseTemplates,omitempty"` // error key or DEFAULT -> media type or */*
	Services          *APIServices                           `json:"services,omitempty"`
	Analytics         *Analytics                             `json:"analytics,omitempty"`
	Failover          *Failover                              `json:"failover,omitempty"`

	// Members of the REST and CRD dialects that the gateway itself does not read.
	State             string          `json:"state,omitempty"`          // STARTED or STOPPED, the state asked for by a CRD
	LifecycleState    string          `json:"lifecycleState,omitempty"` // CREATED, PUBLISHED, UNPUBLISHED, DEPRECATED, ARCHIVED
	Visibility        string          `json:"visibility,omitempty"`     // PUBLIC or PRIVATE
	Labels            []string        `json:"labels,omitempty"`
	Categories        []string        `json:"categories,omitempty"`
	Groups            []string        `json:"groups,omitempty"`
	DefinitionContext json.RawMessage `json:"definitionContext,omitempty"`
	Metadata          json.RawMessage `json:"metadata,omitempty"`
	Members           json.RawMessage `json:"members,omitempty"`
	Pages             json.RawMessage `json:"pages,omitempty"`

	// Carried holds, by JSON pointer into the normal form, the members that a dialect defines and nobody here reads
	// (contextRef, picture, createdAt ...): they come out as they went in.
	Carried map[string]json.RawMessage `json:"carried,omitempty"`
	// Unknown holds, by JSON pointer into the normal form, every member that no dialect defines, so that it is
	// returned and never dropped. Who removes or reorders elements in front of such a member renames its key.
	Unknown map[string]json.RawMessage `json:"unknown,omitempty"`
}

// Type is the kind of an API.
type Type string

// Kinds of API. The 3.20 names async and sync are read as message and proxy.
const (
	TypeMessage Type = "message"
	TypeProxy   Type = "proxy"
	TypeNative  Type = "native"
)

// ListenerType is the kind of a listener.
type ListenerType string

// Kinds of listener.
const (
	ListenerHTTP         ListenerType = "http"
	ListenerSubscription ListenerType = "subscription"
	ListenerTCP          ListenerType = "tcp"
	ListenerKafka        ListenerType = "kafka"
)

// Listener is one way in. Which fields count depends on Type.
type Listener struct {
	Type         ListenerType    `json:"type"`
	Entrypoints  []Entrypoint    `json:"entrypoints"`
	Servers      []string        `json:"servers,omitempty"`
	Paths        []Path          `json:"paths,omitempty"`        // http
	PathMappings []string        `json:"pathMappings,omitempty"` // http
	CORS         *CORS           `json:"cors,omitempty"`         // http
	Logging      json.RawMessage `json:"logging,omitempty"`      // http, 3.20 only
	Hosts        []string        `json:"hosts,omitempty"`        // tcp
	Host         string          `json:"host,omitempty"`         // kafka
	Port         int             `json:"port,omitempty"`         // kafka
}

// Path is a context path, optionally bound to a host. Path starts and ends with "/" (spec 1.4).
type Path struct {
	Host           string `json:"host,omitempty"`
	Path           string `json:"path"`
	OverrideAccess bool   `json:"overrideAccess,omitempty"`
}

// CORS is the cross-origin configuration of an HTTP listener (spec 1.5).
type CORS struct {
	Enabled          bool     `json:"enabled"`
	AllowOrigin      []string `json:"allowOrigin,omitempty"`
	ExposeHeaders    []string `json:"exposeHeaders,omitempty"`
	MaxAge           *int     `json:"maxAge,omitempty"` // seconds; nil: -1, no header
	AllowCredentials bool     `json:"allowCredentials,omitempty"`
	AllowMethods     []string `json:"allowMethods,omitempty"`
	AllowHeaders     []string `json:"allowHeaders,omitempty"`
	RunPolicies      bool     `json:"runPolicies,omitempty"`
}

// Entrypoint names an entrypoint connector and its settings.
type Entrypoint struct {
	Type          string          `json:"type"`
	QoS           string          `json:"qos,omitempty"` // none, auto (default), at-most-once, at-least-once
	DLQ           *DLQ            `json:"dlq,omitempty"`
	Configuration json.RawMessage `json:"configuration,omitempty"`
}

// DLQ names the endpoint or endpoint group that takes undeliverable messages.
type DLQ struct {
	Endpoint string `json:"endpoint"`
}

// LoadBalancer selects among a group's endpoints: round-robin (default), random, weighted-round-robin, weighted-random.
type LoadBalancer struct {
	Type string `json:"type"`
}

// EndpointGroup is a pool of endpoints of one type.
type EndpointGroup struct {
	Name                string          `json:"name"`
	Type                string          `json:"type"`
	LoadBalancer        *LoadBalancer   `json:"loadBalancer,omitempty"`
	SharedConfiguration json.RawMessage `json:"sharedConfiguration,omitempty"`
	Endpoints           []Endpoint      `json:"endpoints,omitempty"`
	Services            *GroupServices  `json:"services,omitempty"`
	HTTP                json.RawMessage `json:"http,omitempty"`    // CRD only
	SSL                 json.RawMessage `json:"ssl,omitempty"`     // CRD only
	Headers             json.RawMessage `json:"headers,omitempty"` // CRD only
}

// Endpoint is one backend.
type Endpoint struct {
	Name                        string          `json:"name"`
	Type                        string          `json:"type"`
	Secondary                   bool            `json:"secondary,omitempty"`
	Weight                      *int            `json:"weight,omitempty"` // nil: 1
	InheritConfiguration        bool            `json:"inheritConfiguration,omitempty"`
	Configuration               json.RawMessage `json:"configuration,omitempty"`
	SharedConfigurationOverride json.RawMessage `json:"sharedConfigurationOverride,omitempty"`
	Tenants                     []string        `json:"tenants,omitempty"`
	Services                    *GroupServices  `json:"services,omitempty"`
}

// GroupServices are the services of an endpoint group or endpoint.
type GroupServices struct {
	Discovery   *Service `json:"discovery,omitempty"`
	HealthCheck *Service `json:"healthCheck,omitempty"`
}

// APIServices are the services of an API.
type APIServices struct {
	DynamicProperty *Service `json:"dynamicProperty,omitempty"`
}

// Service is one service with its configuration.
type Service struct {
	Enabled               *bool           `json:"enabled,omitempty"` // nil: true
	OverrideConfiguration bool            `json:"overrideConfiguration,omitempty"`
	Type                  string          `json:"type,omitempty"`
	Configuration         json.RawMessage `json:"configuration,omitempty"`
}

// Property is one API property.
type Property struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Encrypted   bool   `json:"encrypted,omitempty"`
	Encryptable bool   `json:"encryptable,omitempty"`
	Dynamic     bool   `json:"dynamic,omitempty"`
}

// Resource is one named resource that policies use.
type Resource struct {
	Name          string          `json:"name"`
	Type          string          `json:"type"`
	Enabled       *bool           `json:"enabled,omitempty"` // nil: true
	Configuration json.RawMessage `json:"configuration,omitempty"`
	Ref           json.RawMessage `json:"ref,omitempty"` // CRD only
}

// PlanStatus is where a plan stands in its life.
type PlanStatus string

// Plan states; published and deprecated plans are served.
const (
	PlanStaging    PlanStatus = "staging"
	PlanPublished  PlanStatus = "published"
	PlanDeprecated PlanStatus = "deprecated"
	PlanClosed     PlanStatus = "closed"
)

// Plan says who may use an API and how (spec 1.11, 7.3).
type Plan struct {
	ID            string        `json:"id,omitempty"`
	Key           string        `json:"key,omitempty"` // the CRD's map key
	CrossID       string        `json:"crossId,omitempty"`
	Name          string        `json:"name"`
	Description   string        `json:"description,omitempty"`
	Security      *PlanSecurity `json:"security,omitempty"` // nil for mode push
	Mode          string        `json:"mode,omitempty"`     // standard or push
	SelectionRule string        `json:"selectionRule,omitempty"`
	Flows         []Flow        `json:"flows,omitempty"`
	Tags          []string      `json:"tags,omitempty"`
	Status        PlanStatus    `json:"status,omitempty"`
	Type          string        `json:"type,omitempty"`       // API or CATALOG
	Validation    string        `json:"validation,omitempty"` // AUTO or MANUAL
	Order         int           `json:"order,omitempty"`

	Characteristics   []string `json:"characteristics,omitempty"`
	ExcludedGroups    []string `json:"excludedGroups,omitempty"`
	GeneralConditions string   `json:"generalConditions,omitempty"`
	CommentRequired   bool     `json:"commentRequired,omitempty"`
	CommentMessage    string   `json:"commentMessage,omitempty"`

	BootstrapPort    int `json:"bootstrapPort,omitempty"`
	BrokerRangeStart int `json:"brokerRangeStart,omitempty"`
	BrokerRangeEnd   int `json:"brokerRangeEnd,omitempty"`
}

// PlanSecurity is a plan's security type in the form key-less, api-key, jwt, oauth2, mtls, with its settings.
type PlanSecurity struct {
	Type          string          `json:"type"`
	Configuration json.RawMessage `json:"configuration,omitempty"`
}

// FlowExecution says which of the matching flows run (spec 5.4).
type FlowExecution struct {
	Mode          string `json:"mode,omitempty"` // default or best-match
	MatchRequired bool   `json:"matchRequired,omitempty"`
}

// Flow is a list of steps per phase behind selectors (spec 1.10).
type Flow struct {
	ID        string     `json:"id,omitempty"`
	Name      string     `json:"name,omitempty"`
	Enabled   *bool      `json:"enabled,omitempty"` // nil: true
	Selectors []Selector `json:"selectors,omitempty"`
	Request   []Step     `json:"request,omitempty"`
	Response  []Step     `json:"response,omitempty"`
	Subscribe []Step     `json:"subscribe,omitempty"`
	Publish   []Step     `json:"publish,omitempty"`
	Connect   []Step     `json:"connect,omitempty"`  // native, up to 4.10
	Interact  []Step     `json:"interact,omitempty"` // native
	// EntrypointConnect is the native connect phase from 4.11 on.
	EntrypointConnect []Step   `json:"entrypointConnect,omitempty"`
	Tags              []string `json:"tags,omitempty"`
}

// Selector decides whether a flow applies. Which fields count depends on Type: http, channel, condition.
type Selector struct {
	Type            string   `json:"type"`
	Path            string   `json:"path,omitempty"`
	PathOperator    string   `json:"pathOperator,omitempty"` // STARTS_WITH (default) or EQUALS
	Methods         []string `json:"methods,omitempty"`
	Channel         string   `json:"channel,omitempty"`
	ChannelOperator string   `json:"channelOperator,omitempty"`
	Operations      []string `json:"operations,omitempty"` // subscribe, publish
	Entrypoints     []string `json:"entrypoints,omitempty"`
	Condition       string   `json:"condition,omitempty"`
}

// Step is one policy in a flow.
type Step struct {
	Name                 string          `json:"name,omitempty"`
	Description          string          `json:"description,omitempty"`
	Enabled              *bool           `json:"enabled,omitempty"` // nil: true
	Policy               string          `json:"policy,omitempty"`
	Configuration        json.RawMessage `json:"configuration,omitempty"`
	Condition            string          `json:"condition,omitempty"`
	MessageCondition     string          `json:"messageCondition,omitempty"`
	FailureMode          string          `json:"failureMode,omitempty"`          // ours: fail (default), skip or dead-letter
	SharedPolicyGroupRef json.RawMessage `json:"sharedPolicyGroupRef,omitempty"` // CRD only
}

// ResponseTemplate replaces the default answer to an error (spec 1.12).
type ResponseTemplate struct {
	Status                  int               `json:"status,omitempty"`
	Headers                 map[string]string `json:"headers,omitempty"`
	Body                    string            `json:"body,omitempty"`
	PropagateErrorKeyToLogs bool              `json:"propagateErrorKeyToLogs,omitempty"`
}

// Analytics says what is recorded (spec 1.9).
type Analytics struct {
	Enabled         *bool           `json:"enabled,omitempty"` // nil: true
	MessageSampling *Sampling       `json:"messageSampling,omitempty"`
	Logging         json.RawMessage `json:"logging,omitempty"`
	Tracing         *Tracing        `json:"tracing,omitempty"`
}

// Sampling selects which messages are recorded: count, probability, temporal, windowed-count.
type Sampling struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Tracing switches traces of one API.
type Tracing struct {
	Enabled bool `json:"enabled,omitempty"`
	Verbose bool `json:"verbose,omitempty"`
}

// Failover bounds retries of the connect phase (spec 1.8). Durations are in milliseconds, as users write them.
type Failover struct {
	Enabled             bool  `json:"enabled,omitempty"`
	MaxRetries          *int  `json:"maxRetries,omitempty"`        // nil: 2
	SlowCallDurationMS  *int  `json:"slowCallDuration,omitempty"`  // nil: 2000
	OpenStateDurationMS *int  `json:"openStateDuration,omitempty"` // nil: 10000
	MaxFailures         *int  `json:"maxFailures,omitempty"`       // nil: 5
	PerSubscription     *bool `json:"perSubscription,omitempty"`   // nil: true
}
