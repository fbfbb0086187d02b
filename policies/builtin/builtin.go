// Package builtin lists the policies of Sluice. It is the only package that imports every policy.
package builtin

import (
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/assignattributes"
	"github.com/sluice-gateway/sluice/policies/cache"
	"github.com/sluice-gateway/sluice/policies/claimcheck"
	"github.com/sluice-gateway/sluice/policies/datacache"
	"github.com/sluice-gateway/sluice/policies/datamasking"
	"github.com/sluice-gateway/sluice/policies/groovy"
	"github.com/sluice-gateway/sluice/policies/httpredirect"
	"github.com/sluice-gateway/sluice/policies/interrupt"
	"github.com/sluice-gateway/sluice/policies/javascript"
	"github.com/sluice-gateway/sluice/policies/js"
	"github.com/sluice-gateway/sluice/policies/jsonvalidation"
	"github.com/sluice-gateway/sluice/policies/latency"
	"github.com/sluice-gateway/sluice/policies/messagededuplication"
	"github.com/sluice-gateway/sluice/policies/messagefiltering"
	"github.com/sluice-gateway/sluice/policies/mock"
	"github.com/sluice-gateway/sluice/policies/policydataloggingmasking"
	"github.com/sluice-gateway/sluice/policies/policyhttpcallout"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/policies/resource/redis"
	"github.com/sluice-gateway/sluice/policies/statuscode"
	"github.com/sluice-gateway/sluice/policies/transformheaders"
	"github.com/sluice-gateway/sluice/policies/wasm"
)

// Policies is the catalog.
var Policies = policies.List(
	assignattributes.Type,
	cache.Type,
	claimcheck.Type,
	datacache.Type,
	datamasking.Type,
	groovy.Type,
	httpredirect.Type,
	interrupt.Type,
	javascript.Type,
	js.Type,
	jsonvalidation.Type,
	latency.Type,
	messagededuplication.Type,
	messagefiltering.Type,
	mock.Type,
	policydataloggingmasking.Type,
	policyhttpcallout.Type,
	statuscode.Type,
	transformheaders.Type,
	wasm.Type,
)

// Resources is the catalog of resources.
var Resources = resource.List(redis.Type)
