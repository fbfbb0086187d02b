package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// tryTimeout bounds a trial. It runs what a draft says, so one is run at a time.
const tryTimeout = 30 * time.Second

func (s *Server) registerTry() {
	register(s, operation{id: "tryDraft", method: http.MethodPost, path: base + "/_try", tag: tagAPIs, status: http.StatusOK, body: management.Trial{}, bodyRequired: true,
		summary: "Run the flows of a draft on messages and tell what becomes of them. Nothing is kept and nothing leaves: calls are told, not made."}, s.tryDraft)
}

type tryInput struct{ Scope }

type tryOutput struct{ Body *management.TrialReport }

func (s *Server) tryDraft(ctx context.Context, in *tryInput) (*tryOutput, error) {
	body, err := asJSON(requestOf(ctx).body, "trial")
	if err != nil {
		return nil, err
	}
	var t management.Trial
	if err := json.Unmarshal(body, &t); err != nil {
		return nil, problem(http.StatusBadRequest, apidef.CodeMalformed, "The body must be a trial: "+err.Error())
	}
	doc, err := apidef.Decode(t.Definition)
	var problems apidef.Problems
	switch {
	case errors.As(err, &problems):
		return nil, invalid(http.StatusBadRequest, "", within(problems))
	case err != nil:
		return nil, problem(http.StatusBadRequest, apidef.CodeMalformed, "The definition cannot be read: "+err.Error())
	}
	if found := s.deps.Validate(doc); found.Err() != nil {
		return nil, invalid(http.StatusBadRequest, "", within(found))
	}
	uses, missing := findGroups(s.deps.Replica.State(), in.Org, in.Env, doc.API)
	if len(missing) > 0 {
		for i := range missing {
			missing[i].Pointer = doc.Origin(missing[i].Pointer)
		}
		return nil, invalid(http.StatusBadRequest, "", within(missing))
	}
	if err := embed(uses, deployedSteps); err != nil {
		return nil, s.fail(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, tryTimeout, fmt.Errorf("not done within %s", tryTimeout))
	defer cancel()
	select {
	case s.trying <- struct{}{}:
		defer func() { <-s.trying }()
	case <-ctx.Done():
		return nil, problem(http.StatusServiceUnavailable, management.CodeTrialFailed, "Other trials are under way: try again")
	}
	report, err := s.deps.Try(ctx, doc.API, t)
	switch {
	case errors.As(err, &problems):
		problems = inGroups(uses, problems)
		for i := range problems {
			problems[i].Pointer = doc.Origin(problems[i].Pointer)
		}
		return nil, invalid(http.StatusBadRequest, "", within(problems))
	case err != nil:
		return nil, problem(http.StatusBadRequest, management.CodeTrialFailed, err.Error())
	}
	return &tryOutput{Body: report}, nil
}

// within makes the pointers of a definition those of the body that holds it.
func within(problems apidef.Problems) apidef.Problems {
	out := make(apidef.Problems, len(problems))
	for i, p := range problems {
		p.Pointer = "/definition" + p.Pointer
		out[i] = p
	}
	return out
}
