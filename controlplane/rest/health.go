package rest

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// probeTimeout bounds all probes of one request together.
const probeTimeout = 3 * time.Second

// Probe tells what is wrong with one part of the node; nil: nothing.
type Probe func(ctx context.Context) error

type probeResult struct {
	Healthy bool   `json:"healthy"`
	Message string `json:"message,omitempty"`
}

// Health answers /_node/health (spec 10.3): the probes, or those that ?probes=a,b names, and 500 where one is not well.
// It is for the admin port, and asks for no token.
func Health(probes map[string]Probe) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
		defer cancel()
		asked := map[string]Probe{}
		for name := range strings.SplitSeq(r.URL.Query().Get("probes"), ",") {
			if name = strings.TrimSpace(name); name != "" {
				asked[name] = probes[name]
			}
		}
		if len(asked) == 0 {
			asked = probes
		}
		status, results := http.StatusOK, map[string]probeResult{}
		for name, probe := range asked {
			result := probeResult{Healthy: true}
			if probe == nil {
				result = probeResult{Message: "probe not found"}
			} else if err := probe(ctx); err != nil {
				result = probeResult{Message: err.Error()}
			}
			if !result.Healthy {
				status = http.StatusInternalServerError
			}
			results[name] = result
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = encodeJSON(w, results) // the client is gone if it fails
	})
}
