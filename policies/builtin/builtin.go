// Package builtin lists the policies of Sluice and the resources that they share. It is the only package that imports every
// one of them.
package builtin

import (
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/assignattributes"
	"github.com/sluice-gateway/sluice/policies/interrupt"
	"github.com/sluice-gateway/sluice/policies/jsonvalidation"
	"github.com/sluice-gateway/sluice/policies/latency"
	"github.com/sluice-gateway/sluice/policies/messagefiltering"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/policies/resource/memory"
	"github.com/sluice-gateway/sluice/policies/transformheaders"
)

// Policies is the catalog of policies.
var Policies = policies.List(
	assignattributes.Type,
	interrupt.Type,
	jsonvalidation.Type,
	latency.Type,
	messagefiltering.Type,
	transformheaders.Type,
)

// Resources is the catalog of resources.
var Resources = resource.List(
	memory.Type,
)
