// Package builtin lists the policies of Sluice. It is the only package that imports every policy.
package builtin

import (
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/assignattributes"
	"github.com/sluice-gateway/sluice/policies/groovy"
	"github.com/sluice-gateway/sluice/policies/interrupt"
	"github.com/sluice-gateway/sluice/policies/javascript"
	"github.com/sluice-gateway/sluice/policies/js"
	"github.com/sluice-gateway/sluice/policies/jsonvalidation"
	"github.com/sluice-gateway/sluice/policies/latency"
	"github.com/sluice-gateway/sluice/policies/messagefiltering"
	"github.com/sluice-gateway/sluice/policies/policyhttpcallout"
	"github.com/sluice-gateway/sluice/policies/transformheaders"
)

// Policies is the catalog.
var Policies = policies.List(
	assignattributes.Type,
	groovy.Type,
	interrupt.Type,
	javascript.Type,
	js.Type,
	jsonvalidation.Type,
	latency.Type,
	messagefiltering.Type,
	policyhttpcallout.Type,
	transformheaders.Type,
)
