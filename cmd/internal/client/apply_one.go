package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/cmd/internal/client/source"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// one applies one definition and tells what happened.
func (a *applier) one(ctx context.Context, d *source.Definition) (*applied, error) {
	r := &applied{File: d.Label(), Name: d.API.Name, CrossID: d.CrossID(), DryRun: a.options.dryRun}
	target, err := a.target(d)
	if err != nil {
		return r, err
	}
	if err := a.store(ctx, d, target, r); err != nil {
		return r, a.located(d, err, "")
	}
	if a.options.dryRun {
		a.tell(r, "")
		return r, nil
	}
	told, err := a.serve(ctx, d, r)
	if err != nil {
		return r, a.located(d, err, fmt.Sprintf("%s was %s but not deployed", r.Name, storedWord(r.Action)))
	}
	a.tell(r, told)
	return r, nil
}

// storedWord says how it came that a definition is stored.
func storedWord(action string) string {
	if action == "unchanged" {
		return "stored before"
	}
	return action
}

// target is the stored API that d means, nil for none.
func (a *applier) target(d *source.Definition) (*rest.API, error) {
	var found []*rest.Item[rest.API]
	match := func(same func(*rest.API) bool) bool {
		for i := range a.stored {
			if same(&a.stored[i].Value) {
				found = append(found, &a.stored[i])
			}
		}
		return len(found) > 0
	}
	crossID := d.CrossID()
	switch {
	case d.API.ID != "" && match(func(s *rest.API) bool { return s.ID == d.API.ID }):
	case crossID != "" && match(func(s *rest.API) bool { return s.CrossID == crossID }):
	case d.API.ID != "" || crossID != "":
		return nil, nil // it says who it is, and there is no such API
	default:
		match(func(s *rest.API) bool { return s.Name == d.API.Name && s.APIVersion == d.API.APIVersion })
	}
	switch {
	case len(found) == 0:
		return nil, nil
	case len(found) > 1:
		err := ambiguous(d.API.Name, found)
		var e *exit
		if errors.As(err, &e) {
			e.hint = "put the id of the one that is meant into " + d.Label()
		}
		return nil, err
	case a.ids[found[0].Value.ID]:
		return nil, &exit{code: ExitRefused, err: fmt.Errorf("%s: another definition of this run was applied to the same API %s", d.Label(), found[0].Value.ID),
			hint: "tell the two apart by id or crossId"}
	}
	a.ids[found[0].Value.ID] = true
	return &found[0].Value, nil
}

// store creates or updates the API, or finds that there is nothing to change.
func (a *applier) store(ctx context.Context, d *source.Definition, target *rest.API, r *applied) error {
	if target == nil {
		r.Action = "created"
		if a.options.dryRun {
			return nil
		}
		return a.create(ctx, d, r)
	}
	r.ID = target.ID
	for again := false; ; again = true {
		current, err := a.API(ctx, target.ID)
		if err != nil {
			return err
		}
		wanted, err := a.prepare(d, current, r)
		if err != nil || len(r.Changes) == 0 || a.options.dryRun {
			return err
		}
		body, err := apidef.Encode(wanted, apidef.Gateway)
		if err != nil {
			return err
		}
		_, err = a.Update(ctx, target.ID, current.ETag, body)
		if rest.IsStatus(err, http.StatusPreconditionFailed) && !again {
			continue // someone was faster: look again at what there is to change
		}
		if rest.IsStatus(err, http.StatusPreconditionFailed) {
			return &exit{code: ExitRefused, err: fmt.Errorf("%s is being changed by someone else at the same time", r.Name), hint: "apply again"}
		}
		a.changed = a.changed || err == nil
		return err
	}
}

func (a *applier) create(ctx context.Context, d *source.Definition, r *applied) error {
	wanted := d.API.Clone()
	wanted.CrossID = d.CrossID()
	body, err := apidef.Encode(wanted, apidef.Gateway)
	if err != nil {
		return err
	}
	stored, err := a.Create(ctx, body)
	if err != nil {
		return err
	}
	a.changed = true
	r.ID, r.CrossID = stored.Value.ID, cmp.Or(stored.Value.CrossID, r.CrossID)
	a.ids[r.ID] = true
	return nil
}

// prepare is the definition to store over current, with what stays the server's, and says in r what it changes.
func (a *applier) prepare(d *source.Definition, current *rest.Stored, r *applied) (*apidef.API, error) {
	doc, err := apidef.Decode(current.Raw)
	if err != nil {
		return nil, &rest.ProtocolError{Err: fmt.Errorf("decode the stored definition of %s: %w", r.Name, err)}
	}
	held := doc.API
	wanted := d.API.Clone()
	wanted.ID, wanted.CrossID = held.ID, cmp.Or(d.CrossID(), held.CrossID)
	wanted.LifecycleState = cmp.Or(wanted.LifecycleState, held.LifecycleState)
	wanted.Visibility = cmp.Or(wanted.Visibility, held.Visibility)
	adoptPlans(wanted.Plans, held.Plans)
	r.Action, r.Changes, r.wasStarted = "unchanged", nil, current.Value.Started()
	for _, at := range changes(wanted, held) {
		r.Changes = append(r.Changes, d.Origin(at))
	}
	if len(r.Changes) > 0 {
		r.Action = "updated"
	}
	if len(wanted.Plans) == 0 {
		wanted.Plans = held.Plans
	}
	r.inSync = current.Value.DeploymentState == "DEPLOYED"
	return wanted, nil
}

// serve brings what is stored to the workers and the API to the state that the definition asks for. It returns what to
// tell of it.
func (a *applier) serve(ctx context.Context, d *source.Definition, r *applied) (string, error) {
	stop := d.API.State == "STOPPED"
	if stop {
		return a.rest(ctx, r)
	}
	start := !r.wasStarted && !a.options.noStart
	if r.Action == "unchanged" && r.inSync && !start {
		return a.served(ctx, r)
	}
	text := fmt.Sprintf("%s: waiting for the workers", r.Name)
	err := a.waiting(ctx, text, func(ctx context.Context) error {
		return a.bringUp(ctx, r.ID, r.wasStarted, start, a.options.wait)
	})
	a.changed = true
	if err != nil {
		return "", err
	}
	r.Deployed = true
	return a.served(ctx, r)
}

// rest leaves an API stopped, and stops it where it runs.
func (a *applier) rest(ctx context.Context, r *applied) (string, error) {
	r.State = "STOPPED"
	if !r.wasStarted {
		return "stopped, not deployed", nil
	}
	if err := a.Stop(ctx, r.ID); err != nil {
		return "", err
	}
	a.changed = true
	return "stopped", nil
}

// located puts what the server says of a definition to the place in the user's file. Note is what became of the API
// all the same.
func (a *applier) located(d *source.Definition, err error, note string) error {
	var refusal *rest.Refusal
	if !errors.As(err, &refusal) || exitOfStatus(refusal.Status) != ExitRefused {
		if note != "" {
			err = fmt.Errorf("%s: %w", note, err)
		}
		return err
	}
	f := fileProblems{File: d.File}
	for _, detail := range refusal.Details {
		severity := apidef.Severity(cmp.Or(detail.Severity, string(apidef.Error)))
		pointer := detail.Location
		if strings.HasPrefix(pointer, "/") {
			pointer = d.Origin(pointer)
		}
		f.Problems = append(f.Problems, apidef.Problem{Pointer: pointer, Message: detail.Message, Code: detail.Code, Severity: severity})
	}
	if len(f.Problems.Errors()) == 0 {
		f.Problems = append(f.Problems, apidef.Problem{Message: err.Error(), Code: refusal.Code, Severity: apidef.Error})
	}
	return &problemsError{files: []fileProblems{f}, changed: a.changed, note: note}
}

// tell writes the line of one API.
func (a *applier) tell(r *applied, more string) {
	action, style := r.Action, output.Good
	switch {
	case r.Action == "unchanged":
		style = output.Faint
	case r.DryRun:
		action, style = "would be "+action, output.Odd
	}
	if r.DryRun && len(r.Changes) > 0 {
		more = summary(r.Changes)
	}
	if a.format.Machine() {
		return
	}
	// A line at a time, so that it stands there before the next API is begun; only the last column has no width.
	const widest = len("would be unchanged")
	pad := len("unchanged")
	if r.DryRun {
		pad = widest
	}
	g := output.Grid{Rows: [][]output.Cell{{{Text: fmt.Sprintf("%-*s", a.width, r.Name)}, {Text: fmt.Sprintf("%-*s", pad, action), Style: style}, {Text: more}}}}
	_ = g.Write(a.out, a.colour)
}

// shownChanges is how many places a dry run names of one API.
const shownChanges = 4

func summary(changes []string) string {
	changes = slices.Clone(changes)
	if n := len(changes) - shownChanges; n > 0 {
		changes = append(changes[:shownChanges], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(changes, ", ")
}
