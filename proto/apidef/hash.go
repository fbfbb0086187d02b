package apidef

import (
	"crypto/sha256"
	"encoding/hex"
)

// Hash is the SHA-256, in hexadecimal, of everything that decides how the API is served (spec 8.4). Two definitions
// with one hash need no redeployment: they differ in names, descriptions or what only the management side reads. It is
// taken over canonical JSON, so neither the dialect nor the order of members in an opaque configuration counts.
func (a *API) Hash() string {
	served := API{
		ID: a.ID, Type: a.Type, Tags: a.Tags, Listeners: a.Listeners, EndpointGroups: a.EndpointGroups,
		Properties: a.Properties, Resources: a.Resources, FlowExecution: a.FlowExecution, Flows: a.Flows,
		ResponseTemplates: a.ResponseTemplates, Services: a.Services, Analytics: a.Analytics, Failover: a.Failover,
	}
	for _, p := range a.Plans {
		served.Plans = append(served.Plans, Plan{
			ID: p.ID, Security: p.Security, Mode: p.Mode, SelectionRule: p.SelectionRule, Flows: p.Flows, Tags: p.Tags,
			Status: p.Status, BootstrapPort: p.BootstrapPort, BrokerRangeStart: p.BrokerRangeStart, BrokerRangeEnd: p.BrokerRangeEnd,
		})
	}
	w := &writer{dialect: Gateway}
	sum := sha256.Sum256(apiShape.write(w, "", served).sorted().raw())
	return hex.EncodeToString(sum[:])
}
