package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// Scope is where in the organisation a call is.
type Scope struct {
	Org string `path:"org" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$" doc:"Organization, e.g. DEFAULT"`
	Env string `path:"env" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$" doc:"Environment, e.g. DEFAULT"`
}

// Target is one API in its scope.
type Target struct {
	Scope
	API string `path:"api" maxLength:"128" doc:"Id of the API"`
}

// Consistency is how current a read is.
type Consistency struct {
	Consistency string `query:"consistency" enum:"linearizable,stale" doc:"stale: what the answering node has, without asking the leader"`
}

// Condition makes a change depend on the version that the client has seen.
type Condition struct {
	IfMatch string `header:"If-Match" doc:"ETag of the version to change; another version is refused with 412"`
}

// state reads the replicated state, as current as the client asks.
func (s *Server) state(ctx context.Context, c Consistency) (*fsm.State, error) {
	if c.Consistency == "stale" {
		return s.deps.Replica.State(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	st, err := s.deps.Replica.Read(ctx)
	if err != nil {
		return nil, s.fail(err)
	}
	return st, nil
}

// fail is the answer to an error that is nobody's fault outside; it is logged where the answer hides it.
func (s *Server) fail(err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	p = unavailable(err)
	if p.HTTPStatus == http.StatusInternalServerError {
		s.deps.Log.Error("management API request failed", "err", err)
	}
	return p
}

// find returns a record of the scope.
func (t Target) find(st *fsm.State) (*fsm.API, error) {
	a := st.API(t.API)
	if a == nil || a.Organization != t.Org || a.Environment != t.Env {
		return nil, t.missing()
	}
	return a, nil
}

func (t Target) missing() *Problem {
	p := problem(http.StatusNotFound, management.CodeAPINotFound, "Api ["+t.API+"] cannot be found.")
	p.Parameters = map[string]string{"api": t.API}
	return p
}

// allows tells whether a version meets the condition.
func (c Condition) allows(version uint64) bool {
	if c.IfMatch == "" || strings.TrimSpace(c.IfMatch) == "*" {
		return true
	}
	for tag := range strings.SplitSeq(c.IfMatch, ",") {
		if strings.TrimSpace(tag) == etag(version) { // a weak tag never matches (RFC 9110, 13.1.1)
			return true
		}
	}
	return false
}

// failed refuses a change of what is called so, since its version is another one.
func (c Condition) failed(what string, version uint64) *Problem {
	p := problem(http.StatusPreconditionFailed, management.CodePrecondition,
		what+" was changed meanwhile: read it again and repeat the change on what it is now")
	p.Parameters = map[string]string{"etag": etag(version)}
	return p
}

// record is something with a version that changes are conditional on.
type record struct {
	what    string // its kind and id, for people
	version uint64
}

// change changes an API; see changing.
func (s *Server) change(ctx context.Context, t Target, c Condition, build func(*fsm.API) (*command.Command, error)) (*command.Result, *fsm.State, error) {
	return changing(ctx, s, c, t.find, func(a *fsm.API) record { return record{"API [" + a.ID + "]", a.Version} },
		func(_ *fsm.State, a *fsm.API) (*command.Command, error) { return build(a) })
}

// changing reads the record, builds a command from it and has that applied to that very version. Where somebody else was
// first and the client named no version, it is built anew from what is there now.
func changing[R any](ctx context.Context, s *Server, c Condition, find func(*fsm.State) (R, error), of func(R) record,
	build func(*fsm.State, R) (*command.Command, error)) (*command.Result, *fsm.State, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	st, err := s.deps.Replica.Read(ctx)
	if err != nil {
		return nil, nil, s.fail(err)
	}
	for {
		found, err := find(st)
		if err != nil {
			return nil, nil, err
		}
		if r := of(found); !c.allows(r.version) {
			return nil, nil, c.failed(r.what, r.version)
		}
		cmd, err := build(st, found)
		if err != nil {
			return nil, nil, s.fail(err)
		}
		result, err := s.propose(ctx, cmd)
		if err != nil {
			return nil, nil, err
		}
		st = s.deps.Replica.State()
		switch e := result.GetError(); {
		case e == nil:
			return result, st, nil
		case e.GetCode() != command.Code_CODE_VERSION_MISMATCH, ctx.Err() != nil:
			return nil, nil, refused(e)
		}
	}
}

// propose has a command applied on behalf of the request's actor.
func (s *Server) propose(ctx context.Context, cmd *command.Command) (*command.Result, error) {
	cmd.Actor = requestOf(ctx).actor
	result, err := s.deps.Replica.Propose(ctx, cmd)
	if err != nil {
		return nil, s.fail(err)
	}
	return result, nil
}

// decode reads the definition in the request's body and lists all that is wrong with it.
func (s *Server) decode(ctx context.Context) (*apidef.Document, apidef.Problems, error) {
	body := requestOf(ctx).body
	if len(body) == 0 {
		return nil, nil, problem(http.StatusBadRequest, management.CodeDataInvalid, "The body is empty: send an API definition as JSON or YAML")
	}
	doc, err := apidef.Decode(body)
	var found apidef.Problems
	switch {
	case doc != nil:
		found = s.deps.Validate(doc)
	case !errors.As(err, &found):
		return nil, nil, s.fail(fmt.Errorf("decode definition: %w", err))
	}
	if doc != nil && len(found.Errors()) == 0 {
		found = append(found, s.seal(doc)...)
	}
	if len(found.Errors()) > 0 {
		return nil, nil, invalid(http.StatusBadRequest, "", found)
	}
	var warnings apidef.Problems
	for _, w := range found.Warnings() {
		if !isAnswered(w.Pointer) { // our own answer, sent back
			warnings = append(warnings, w)
		}
	}
	if doc.API.State == management.StateStarted {
		warnings = append(warnings, apidef.Problem{
			Pointer: "/state", Code: apidef.CodeMemberIgnored, Severity: apidef.Warning,
			Message: "does not start the API; start it with POST /v4/apis/{api}?action=START",
		})
	}
	return doc, warnings, nil
}

// parseWait reads ?wait: a duration, or a bare number of seconds; "" is none.
func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err != nil || d < 0 || d > maxWait {
		return 0, badParameter("wait", "must be a time between 0s and 60s, e.g. 5s")
	}
	return d, nil
}
