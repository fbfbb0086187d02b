package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

// groupUse is a step that stands for a shared policy group.
type groupUse struct {
	at    string
	step  *apidef.Step
	group *fsm.Group
}

// findGroups finds the deployed groups that a definition refers to, or lists why they cannot be used, with pointers into the normal
// form.
func findGroups(st *fsm.State, org, env string, api *apidef.API) (uses []groupUse, found apidef.Problems) {
	for place, step := range api.SharedGroups() {
		ref, member, err := step.SharedGroup()
		fail := func(code, format string, args ...any) {
			found = append(found, apidef.Problem{Pointer: place.Pointer + "/" + member, Code: code, Severity: apidef.Error, Message: fmt.Sprintf(format, args...)})
		}
		if err != nil {
			fail(management.CodeGroupInvalid, "%v", err)
			continue
		}
		g, namesakes := findGroup(st, org, env, ref)
		switch {
		case namesakes > 1:
			fail(management.CodeGroupInvalid, "there are %d shared policy groups of the name %q in this environment; refer to one by its id", namesakes, ref.Name)
		case g == nil:
			fail(management.CodeGroupNotFound, "there is no shared policy group %q in this environment; create and deploy it first", ref.ID+ref.Name)
		case g.APIType != string(api.Type) || g.Phase != place.Phase:
			fail(management.CodeGroupInvalid, "shared policy group %q is for phase %s of %s APIs; this is phase %s of a %s API", g.Name, g.Phase, g.APIType, place.Phase, api.Type)
		case g.Deployed == nil:
			fail(management.CodeGroupNotDeployed, "shared policy group %q is not deployed; deploy it with POST .../shared-policy-groups/%s/deployments", g.Name, g.ID)
		default:
			uses = append(uses, groupUse{at: place.Pointer, step: step, group: g})
		}
	}
	return uses, found
}

// findGroup finds the group that a step means: by id, else by the cross id or name that no other group has.
func findGroup(st *fsm.State, org, env string, ref apidef.SharedGroup) (g *fsm.Group, namesakes int) {
	id := ref.ID
	if id == "" {
		id = ref.Name
	}
	if g = st.Group(id); g != nil && g.Organization == org && g.Environment == env {
		return g, 1
	}
	g = nil
	if ref.Name == "" {
		return nil, 0
	}
	for one := range st.Groups {
		if one.Organization == org && one.Environment == env && (one.CrossID == ref.Name || one.Name == ref.Name) {
			g = one
			namesakes++
		}
	}
	return g, namesakes
}

// groupWarnings says which groups the API could not be deployed with as they are now: they may come later.
func (s *Server) groupWarnings(scope Scope, doc *apidef.Document) apidef.Problems {
	_, found := findGroups(s.deps.Replica.State(), scope.Org, scope.Env, doc.API)
	for i := range found {
		found[i].Severity, found[i].Pointer = apidef.Warning, doc.Origin(found[i].Pointer)
	}
	return found
}

func deployedSteps(g *fsm.Group) []byte { return g.Deployed }
func savedSteps(g *fsm.Group) []byte    { return g.Steps }

// embed puts the steps of groups into the steps that stand for them.
func embed(uses []groupUse, steps func(*fsm.Group) []byte) error {
	for _, u := range uses {
		if err := u.step.EmbedSharedGroup(u.group.ID, steps(u.group)); err != nil {
			return err //nolint:wrapcheck // it names the group
		}
	}
	return nil
}

// slotted encodes a definition with a slot wherever the steps of a group belong: the state machine fills them in with what is deployed when it
// gets there.
func slotted(api *apidef.API, uses []groupUse) ([]byte, []*command.Slot, error) {
	mark := uuid.NewString() // that nothing else in the definition can be
	for i, u := range uses {
		if err := u.step.EmbedSharedGroup(u.group.ID, json.RawMessage(slotMark(mark, i))); err != nil {
			return nil, nil, err //nolint:wrapcheck // it names the group
		}
	}
	b, err := json.Marshal(api)
	if err != nil {
		return nil, nil, fmt.Errorf("encode definition of API %s: %w", api.ID, err)
	}
	var slots []*command.Slot
	for i, u := range uses {
		text := []byte(slotMark(mark, i))
		at := bytes.Index(b, text)
		if at < 0 {
			return nil, nil, fmt.Errorf("encode definition of API %s: shared policy group %s lost its place", api.ID, u.group.ID)
		}
		slots = append(slots, &command.Slot{GroupId: u.group.ID, Offset: uint64(at), Length: uint64(len(text))}) //nolint:gosec // not negative
	}
	return b, slots, nil
}

func slotMark(mark string, i int) string { return `"` + mark + "-" + strconv.Itoa(i) + `"` }

// inGroups brings what is wrong with the steps of groups to the steps that stand for them, since the definition has no others.
func inGroups(uses []groupUse, found apidef.Problems) apidef.Problems {
	for i := range found {
		p := &found[i]
		for _, u := range uses {
			if rest, ok := strings.CutPrefix(p.Pointer, u.at+"/configuration/steps"); ok {
				p.Pointer, p.Message = u.at, fmt.Sprintf("shared policy group %q: /steps%s %s", u.group.Name, rest, p.Message)
			}
		}
	}
	return found
}
