package apidef

import "encoding/json"

// raw shortens the tables.
type raw = json.RawMessage

var loadBalancers = &enum[string]{
	code:   CodeValueInvalid,
	values: []string{"round-robin", "random", "weighted-round-robin", "weighted-random"},
}

// groupShape is a pool of endpoints (spec 1.6).
var groupShape = &shape[EndpointGroup]{
	name: "endpointGroup",
	fields: []field[EndpointGroup]{
		member("name", func(g *EndpointGroup) *string { return &g.Name }, text, required(CodeEndpointInvalid, "the name of the group")),
		member("type", func(g *EndpointGroup) *string { return &g.Type }, text, required(CodeGroupTypeInvalid, "the connector of the group's endpoints")),
		member("loadBalancer", func(g *EndpointGroup) **LoadBalancer { return &g.LoadBalancer }, optional(object(loadBalancerShape))),
		member("sharedConfiguration", func(g *EndpointGroup) *raw { return &g.SharedConfiguration }, opaque),
		member("endpoints", func(g *EndpointGroup) *[]Endpoint { return &g.Endpoints }, listOf(object(endpointShape))),
		member("services", func(g *EndpointGroup) **GroupServices { return &g.Services }, optional(object(groupServicesShape))),
		member("http", func(g *EndpointGroup) *raw { return &g.HTTP }, anything),
		member("ssl", func(g *EndpointGroup) *raw { return &g.SSL }, anything),
		member("headers", func(g *EndpointGroup) *raw { return &g.Headers }, anything),
	},
}

var loadBalancerShape = &shape[LoadBalancer]{
	name: "loadBalancer",
	fields: []field[LoadBalancer]{
		member("type", func(l *LoadBalancer) *string { return &l.Type }, oneOf(loadBalancers)),
	},
}

var endpointShape = &shape[Endpoint]{
	name: "endpoint",
	fields: []field[Endpoint]{
		member("name", func(e *Endpoint) *string { return &e.Name }, text, required(CodeEndpointInvalid, "the name of the endpoint")),
		member("type", func(e *Endpoint) *string { return &e.Type }, text, required(CodeEndpointTypeInvalid, "the type of its group")),
		member("secondary", func(e *Endpoint) *bool { return &e.Secondary }, flag),
		member("weight", func(e *Endpoint) **int { return &e.Weight }, optional(looseNumber)),
		member("inheritConfiguration", func(e *Endpoint) *bool { return &e.InheritConfiguration }, flag),
		member("configuration", func(e *Endpoint) *raw { return &e.Configuration }, opaque),
		member("sharedConfigurationOverride", func(e *Endpoint) *raw { return &e.SharedConfigurationOverride }, opaque),
		member("tenants", func(e *Endpoint) *[]string { return &e.Tenants }, listOf(text)),
		member("services", func(e *Endpoint) **GroupServices { return &e.Services }, optional(object(groupServicesShape))),
	},
}

var groupServicesShape = &shape[GroupServices]{
	name: "endpointServices",
	fields: []field[GroupServices]{
		member("discovery", func(s *GroupServices) **Service { return &s.Discovery }, optional(object(serviceShape))),
		member("healthCheck", func(s *GroupServices) **Service { return &s.HealthCheck }, optional(object(serviceShape))),
	},
}
