// Package builtin lists the policies of Sluice. It is the only package that imports every policy.
package builtin

import (
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/assignattributes"
	"github.com/sluice-gateway/sluice/policies/assigncontent"
	"github.com/sluice-gateway/sluice/policies/avrojson"
	"github.com/sluice-gateway/sluice/policies/cloudevents"
	"github.com/sluice-gateway/sluice/policies/interrupt"
	"github.com/sluice-gateway/sluice/policies/jsontojson"
	"github.com/sluice-gateway/sluice/policies/jsonvalidation"
	"github.com/sluice-gateway/sluice/policies/jsonxml"
	"github.com/sluice-gateway/sluice/policies/latency"
	"github.com/sluice-gateway/sluice/policies/messagefiltering"
	"github.com/sluice-gateway/sluice/policies/transformheaders"
	"github.com/sluice-gateway/sluice/policies/xmljson"
)

// Policies is the catalog.
var Policies = policies.List(
	assignattributes.Type,
	assigncontent.Type,
	avrojson.Type,
	cloudevents.Type,
	interrupt.Type,
	jsontojson.Type,
	jsonvalidation.Type,
	jsonxml.Type,
	latency.Type,
	messagefiltering.Type,
	transformheaders.Type,
	xmljson.Type,
)
