package fsm

import "github.com/sluice-gateway/sluice/proto/command"

// encodeAPI is the snapshot form of a record; byte slices are shared.
func encodeAPI(a *API) *command.Api {
	out := &command.Api{
		Id: a.ID, Organization: a.Organization, Environment: a.Environment, CrossId: a.CrossID, Name: a.Name, Type: a.Type,
		Definition: a.Definition, Tags: a.Tags, LifecycleState: a.Lifecycle, Visibility: a.Visibility,
		State:       command.ApiState_API_STATE_STOPPED,
		CreatedAtMs: a.CreatedAtMS, UpdatedAtMs: a.UpdatedAtMS, Version: a.Version,
	}
	if a.Started {
		out.State = command.ApiState_API_STATE_STARTED
	}
	for _, c := range a.Claims {
		out.Claims = append(out.Claims, &command.Claim{Kind: c.Kind, Host: c.Host, Path: c.Path})
	}
	for _, p := range a.Plans {
		out.Plans = append(out.Plans, encodePlan(p))
	}
	if d := a.Deployed; d != nil {
		out.Deployed = &command.Deployed{
			Definition: d.Definition, Tags: d.Tags, Label: d.Label, Number: d.Number, Revision: d.Revision, AtMs: d.AtMS, Actor: d.Actor,
			Placed: d.Placed, Slots: encodeSlots(d.Slots),
		}
	}
	return out
}

func encodePlan(p *Plan) *command.Plan {
	return &command.Plan{
		Id: p.ID, Key: p.Key, CrossId: p.CrossID, Name: p.Name, Security: p.Security, Definition: p.Definition,
		Status: p.Status, Order: p.Order,
		CreatedAtMs: p.CreatedAtMS, UpdatedAtMs: p.UpdatedAtMS, PublishedAtMs: p.PublishedAtMS, ClosedAtMs: p.ClosedAtMS,
	}
}

// decodeAPI is the inverse of encodeAPI.
func decodeAPI(in *command.Api) *API {
	a := &API{
		ID: in.GetId(), Organization: in.GetOrganization(), Environment: in.GetEnvironment(), CrossID: in.GetCrossId(),
		Name: in.GetName(), Type: in.GetType(), Definition: in.GetDefinition(), Tags: in.GetTags(), Claims: claims(in.GetClaims()),
		Started: in.GetState() == command.ApiState_API_STATE_STARTED, Lifecycle: in.GetLifecycleState(), Visibility: in.GetVisibility(),
		CreatedAtMS: in.GetCreatedAtMs(), UpdatedAtMS: in.GetUpdatedAtMs(), Version: in.GetVersion(),
	}
	for _, p := range in.GetPlans() {
		a.Plans = append(a.Plans, &Plan{
			ID: p.GetId(), Key: p.GetKey(), CrossID: p.GetCrossId(), Name: p.GetName(), Security: p.GetSecurity(), Definition: p.GetDefinition(),
			Status: p.GetStatus(), Order: p.GetOrder(),
			CreatedAtMS: p.GetCreatedAtMs(), UpdatedAtMS: p.GetUpdatedAtMs(), PublishedAtMS: p.GetPublishedAtMs(), ClosedAtMS: p.GetClosedAtMs(),
		})
	}
	if d := in.GetDeployed(); d != nil {
		a.Deployed = &Deployed{
			Definition: d.GetDefinition(), Tags: d.GetTags(), Label: d.GetLabel(), Number: d.GetNumber(), Revision: d.GetRevision(),
			AtMS: d.GetAtMs(), Actor: d.GetActor(), Placed: d.GetPlaced(), Slots: slotsOf(d.GetSlots()),
		}
	}
	if a.Deployed != nil && a.Deployed.Placed == 0 { // of format 1, which had no subscriptions that could tell
		a.Deployed.Placed = a.Deployed.Revision
	}
	return a
}
