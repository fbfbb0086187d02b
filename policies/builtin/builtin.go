// Package builtin lists the policies of Sluice and the resources that they share. It is the only package that imports every
// one of them.
package builtin

import (
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/assignattributes"
	"github.com/sluice-gateway/sluice/policies/assigncontent"
	"github.com/sluice-gateway/sluice/policies/avrojson"
	"github.com/sluice-gateway/sluice/policies/basicauthentication"
	"github.com/sluice-gateway/sluice/policies/circuitbreaker"
	"github.com/sluice-gateway/sluice/policies/cloudevents"
	"github.com/sluice-gateway/sluice/policies/dynamicrouting"
	"github.com/sluice-gateway/sluice/policies/generatejwt"
	"github.com/sluice-gateway/sluice/policies/httpsignature"
	"github.com/sluice-gateway/sluice/policies/interrupt"
	"github.com/sluice-gateway/sluice/policies/ipfiltering"
	"github.com/sluice-gateway/sluice/policies/jsonthreatprotection"
	"github.com/sluice-gateway/sluice/policies/jsontojson"
	"github.com/sluice-gateway/sluice/policies/jsonvalidation"
	"github.com/sluice-gateway/sluice/policies/jsonxml"
	"github.com/sluice-gateway/sluice/policies/jws"
	"github.com/sluice-gateway/sluice/policies/latency"
	"github.com/sluice-gateway/sluice/policies/messagefiltering"
	"github.com/sluice-gateway/sluice/policies/overriderequestmethod"
	"github.com/sluice-gateway/sluice/policies/ratelimit"
	"github.com/sluice-gateway/sluice/policies/rbac"
	"github.com/sluice-gateway/sluice/policies/regexthreatprotection"
	"github.com/sluice-gateway/sluice/policies/requestcontentlimit"
	"github.com/sluice-gateway/sluice/policies/requestvalidation"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/policies/resource/inlineauth"
	"github.com/sluice-gateway/sluice/policies/resource/memory"
	"github.com/sluice-gateway/sluice/policies/resource/schemaregistry"
	"github.com/sluice-gateway/sluice/policies/resourcefiltering"
	"github.com/sluice-gateway/sluice/policies/retry"
	"github.com/sluice-gateway/sluice/policies/sslenforcement"
	"github.com/sluice-gateway/sluice/policies/trafficshadowing"
	"github.com/sluice-gateway/sluice/policies/transformheaders"
	"github.com/sluice-gateway/sluice/policies/transformqueryparams"
	"github.com/sluice-gateway/sluice/policies/urlrewriting"
	"github.com/sluice-gateway/sluice/policies/xmljson"
	"github.com/sluice-gateway/sluice/policies/xmlthreatprotection"
)

// Policies is the catalog of policies.
var Policies = policies.List(
	assignattributes.Type,
	interrupt.Type,
	jsonvalidation.Type,
	latency.Type,
	messagefiltering.Type,
	transformheaders.Type,
	basicauthentication.Type,
	circuitbreaker.Type,
	dynamicrouting.Type,
	generatejwt.Type,
	httpsignature.Type,
	httpsignature.Generate,
	ipfiltering.Type,
	jsonthreatprotection.Type,
	jws.Type,
	overriderequestmethod.Type,
	ratelimit.Type,
	ratelimit.Quota,
	ratelimit.SpikeArrest,
	rbac.Type,
	regexthreatprotection.Type,
	requestcontentlimit.Type,
	requestvalidation.Type,
	resourcefiltering.Type,
	retry.Type,
	sslenforcement.Type,
	trafficshadowing.Type,
	transformqueryparams.Type,
	urlrewriting.Type,
	xmlthreatprotection.Type,
	assigncontent.Type,
	avrojson.Type,
	cloudevents.Type,
	jsontojson.Type,
	jsonxml.Type,
	xmljson.Type,
)

// Resources is the catalog of resources.
var Resources = resource.List(
	inlineauth.Type,
	memory.Type,
	schemaregistry.Type,
)
