package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/dataplane/reactor"
)

// health answers with the probes asked for, or those that are not hidden: 200 where all are healthy, else 500
// (spec 10.3-b).
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	type probe struct {
		Healthy bool   `json:"healthy"`
		Message string `json:"message,omitempty"`
	}
	out, status := map[string]probe{}, http.StatusOK
	for _, name := range s.asked(r.URL.Query().Get("probes")) {
		p, known := s.deps.Probes[name]
		result := probe{Healthy: true}
		if !known {
			result = probe{Message: "probe not found"}
		} else if err := p.Check(r.Context()); err != nil {
			result = probe{Message: err.Error()}
		}
		if !result.Healthy {
			status = http.StatusInternalServerError
		}
		out[name] = result
	}
	write(w, status, out)
}

// asked returns the probes of a comma-separated list; empty: those that are not hidden.
func (s *Server) asked(list string) (names []string) {
	if list != "" {
		for name := range strings.SplitSeq(list, ",") {
			names = append(names, strings.TrimSpace(name))
		}
		return names
	}
	for name, p := range s.deps.Probes {
		if !p.Hidden {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ready answers 200 where the node serves its definitions, else 503 and why not.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	type body struct {
		Ready  bool   `json:"ready"`
		Reason string `json:"reason,omitempty"`
	}
	if err := s.deps.Ready(); err != nil {
		write(w, http.StatusServiceUnavailable, body{Reason: err.Error()})
		return
	}
	write(w, http.StatusOK, body{Ready: true})
}

func (s *Server) node(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Version string `json:"version"`
	}{s.cfg.ID, s.cfg.Name, s.cfg.Version})
}

// api is how an API is shown.
type api struct {
	ID         string     `json:"id"`
	Name       string     `json:"name,omitempty"`
	State      string     `json:"state"`
	Revision   uint64     `json:"revision"`          // the one last asked for
	Serving    uint64     `json:"serving,omitempty"` // the one served; absent: none
	Error      string     `json:"error,omitempty"`
	Warnings   []string   `json:"warnings,omitempty"`
	Paths      []string   `json:"paths,omitempty"`
	Conflicts  []string   `json:"conflicts,omitempty"` // paths that another API claims too, with who serves them
	DeployedAt *time.Time `json:"deployedAt,omitempty"`
	Since      time.Time  `json:"since"`
}

func shown(s reactor.Status) api {
	out := api{ID: s.ID, Name: s.Name, State: string(s.State), Revision: s.Revision, Serving: s.Serving, Warnings: s.Warnings, Since: s.Since}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	if !s.DeployedAt.IsZero() {
		out.DeployedAt = &s.DeployedAt
	}
	for _, r := range s.Routes {
		out.Paths = append(out.Paths, r.String())
	}
	for _, c := range s.Conflicts {
		out.Conflicts = append(out.Conflicts, c.Route.String()+" is served by "+c.Winner)
	}
	return out
}

func (s *Server) apis(w http.ResponseWriter, _ *http.Request) {
	states := s.deps.APIs.States()
	out := make([]api, 0, len(states))
	for _, st := range states {
		out = append(out, shown(st))
	}
	write(w, http.StatusOK, out)
}

func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	st, ok := s.deps.APIs.State(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	write(w, http.StatusOK, shown(st))
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(body) // a client that left cannot be told
}
