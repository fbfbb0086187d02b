package catalog

import (
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/meter"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Deployable tells why workers could not serve an API: it builds the API as they do, and throws it away. Building starts
// nothing.
func Deployable(entrypoints connectors.Entrypoints, endpoints connectors.Endpoints, brokers map[string]string) func(*apidef.API) apidef.Problems {
	cfg := flow.Config{Entrypoints: entrypoints, Endpoints: endpoints, Limits: connectors.DefaultLimits, Brokers: brokers,
		Log: slog.New(slog.DiscardHandler), Meter: noop.Meter{}, Counters: meter.NewRegistry()}
	return func(api *apidef.API) apidef.Problems {
		_, err := flow.New(cfg, flow.Deployment{ID: api.ID, API: api})
		var found apidef.Problems
		switch {
		case err == nil:
			return nil
		case errors.As(err, &found):
			return found
		}
		return apidef.Problems{{Message: err.Error(), Code: CodeNotBuildable, Severity: apidef.Error}}
	}
}

// CodeNotBuildable is the code of what only building finds. It never changes meaning.
const CodeNotBuildable = "api.NotDeployable"
