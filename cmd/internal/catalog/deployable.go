package catalog

import (
	"context"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// Deployable tells why workers could not serve an API, and, as warnings, which parts of it would have no effect: it
// builds the API as they do, and throws it away. Building starts nothing. Pointers are into the normal form.
func Deployable(entrypoints connectors.Entrypoints, endpoints connectors.Endpoints, steps policies.Catalog, resources resource.Catalog, brokers map[string]string) func(*apidef.API) apidef.Problems {
	cfg := flow.Config{Entrypoints: entrypoints, Endpoints: endpoints, Policies: steps, Resources: resources, Limits: connectors.DefaultLimits, Brokers: brokers,
		Log: slog.New(slog.DiscardHandler), Meter: noop.Meter{}, Counters: meter.NewRegistry()}
	return func(api *apidef.API) apidef.Problems {
		return flow.Check(cfg, flow.Deployment{ID: api.ID, API: api})
	}
}

// Try runs the flows of a draft on messages, here and without a trace (dataplane.Try). A draft without a plan is tried as one
// that everybody may use.
func Try(entrypoints connectors.Entrypoints, endpoints connectors.Endpoints, steps policies.Catalog, resources resource.Catalog, brokers map[string]string) func(context.Context, *apidef.API, management.Trial) (*management.TrialReport, error) {
	return func(ctx context.Context, api *apidef.API, t management.Trial) (*management.TrialReport, error) {
		cfg := flow.Config{Entrypoints: entrypoints, Endpoints: endpoints, Policies: steps, Resources: resources, Limits: connectors.DefaultLimits, Brokers: brokers,
			Log: slog.New(slog.DiscardHandler), Meter: noop.Meter{}, Counters: meter.NewRegistry()}
		draft := *api
		draft.Plans = slices.Clone(api.Plans)
		if len(draft.Plans) == 0 {
			draft.Plans = []apidef.Plan{{Name: "trial", Status: apidef.PlanPublished, Security: &apidef.PlanSecurity{Type: "key-less"}}}
		}
		return dataplane.Try(ctx, cfg, &draft, t)
	}
}

// Validate holds a document against the rules, refuses flows that no worker could run, and warns of what is right and has no
// effect in this version: nobody should find out by its absence.
func Validate(env apidef.Validation, deployable func(*apidef.API) apidef.Problems) func(*apidef.Document) apidef.Problems {
	return func(d *apidef.Document) apidef.Problems {
		found := d.Validate(env)
		if len(found.Errors()) > 0 || d.API == nil || d.API.Type != apidef.TypeMessage {
			return found
		}
		told := map[string]bool{}
		for _, p := range found {
			told[p.Pointer+p.Message] = true // a connector's warnings are found by both
		}
		for _, p := range deployable(d.API) {
			if p.Severity == apidef.Error && !flow.OfFlows(p) {
				continue // may be put right before it is deployed
			}
			if p.Pointer = d.Origin(p.Pointer); !told[p.Pointer+p.Message] {
				found = append(found, p)
			}
		}
		return found
	}
}
