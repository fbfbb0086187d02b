package apidef

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// PolicySharedGroup is the policy of a step that stands for the steps of a shared policy group (spec 5.10).
const PolicySharedGroup = "shared-policy-group-policy"

// SharedGroup is what a step says of the shared policy group that it stands for.
type SharedGroup struct {
	// ID is the group's id; empty where the step names the group.
	ID string `json:"sharedPolicyGroupId,omitempty"`
	// Name is the group's id, cross id or name, as a manifest refers to it.
	Name string `json:"-"`
	// Steps are those of the group as they are deployed; nil: nobody has put them there. The control plane does, when it composes
	// what workers get.
	Steps []Step `json:"steps,omitempty"`
}

// IsSharedGroup tells whether the step stands for a shared policy group.
func (s *Step) IsSharedGroup() bool {
	return s.Policy == PolicySharedGroup || s.Policy == "" && len(s.SharedPolicyGroupRef) > 0
}

// SharedGroup reads which group the step stands for; the error says what is wrong with the reference, and at which member of the
// step it is.
func (s *Step) SharedGroup() (g SharedGroup, member string, err error) {
	if s.Policy == "" {
		ref := struct{ ID, Name string }{}
		if err := json.Unmarshal(s.SharedPolicyGroupRef, &ref); err != nil || ref.ID == "" && ref.Name == "" {
			return SharedGroup{}, "sharedPolicyGroupRef", errors.New(`must name a shared policy group, such as {"name": "my-group"}`)
		}
		return SharedGroup{ID: ref.ID, Name: ref.Name}, "sharedPolicyGroupRef", nil
	}
	if err := json.Unmarshal(s.Configuration, &g); err != nil || g.ID == "" {
		return SharedGroup{}, "configuration", errors.New(`must hold the id of a shared policy group, such as {"sharedPolicyGroupId": "…"}`)
	}
	return g, "configuration", nil
}

// EmbedSharedGroup makes steps, a JSON array, what the step stands for.
func (s *Step) EmbedSharedGroup(id string, steps json.RawMessage) error {
	b, err := json.Marshal(struct {
		ID    string          `json:"sharedPolicyGroupId"`
		Steps json.RawMessage `json:"steps,omitempty"`
	}{id, steps})
	if err != nil {
		return fmt.Errorf("encode steps of shared policy group %s: %w", id, err)
	}
	s.Policy, s.Configuration = PolicySharedGroup, b
	return nil
}

// StripSharedGroup takes what EmbedSharedGroup did back, so that definitions can be compared: what a group holds is not theirs.
func (s *Step) StripSharedGroup() error {
	if len(s.SharedPolicyGroupRef) > 0 {
		s.Policy, s.Configuration = "", nil
		return nil
	}
	g, _, err := s.SharedGroup()
	if err != nil {
		return nil //nolint:nilerr // it says nothing that could be stripped
	}
	return s.EmbedSharedGroup(g.ID, nil)
}

// SharedGroups yields the steps in use that stand for shared policy groups, with their places and the member of the flow that they are
// in. The steps may be changed.
func (a *API) SharedGroups() iter.Seq2[StepPlace, *Step] {
	return func(yield func(StepPlace, *Step) bool) {
		if !sharedGroups("/flows", a.Flows, yield) {
			return
		}
		for i := range a.Plans {
			if !sharedGroups(itemOf("/plans", i)+"/flows", a.Plans[i].Flows, yield) {
				return
			}
		}
	}
}

// StepPlace is where in a definition a step stands.
type StepPlace struct {
	Pointer string
	Phase   string // request, response, publish, subscribe, interact, connect, entrypointConnect
}

func sharedGroups(at string, flows []Flow, yield func(StepPlace, *Step) bool) bool {
	for i := range flows {
		f := &flows[i]
		if f.Enabled != nil && !*f.Enabled {
			continue
		}
		for _, p := range f.phases() {
			for j := range p.steps {
				s := &p.steps[j]
				if s.IsSharedGroup() && (s.Enabled == nil || *s.Enabled) &&
					!yield(StepPlace{itemOf(childOf(itemOf(at, i), p.name), j), p.name}, s) {
					return false
				}
			}
		}
	}
	return true
}

// PhaseOf is the member of a flow that a phase of a shared policy group is for, in the spellings of the versions (spec 5.10): REQUEST,
// RESPONSE, PUBLISH or MESSAGE_REQUEST, SUBSCRIBE or MESSAGE_RESPONSE, INTERACT, CONNECT. Empty: there is no such phase in APIs of
// this type.
func PhaseOf(typ Type, phase string) string {
	member := map[string]string{"REQUEST": "request", "RESPONSE": "response", "PUBLISH": "publish", "MESSAGE_REQUEST": "publish",
		"SUBSCRIBE": "subscribe", "MESSAGE_RESPONSE": "subscribe", "INTERACT": "interact", "CONNECT": "entrypointConnect"}[strings.ToUpper(phase)]
	for _, known := range phasesOf[typ] {
		if member == known {
			return member
		}
	}
	return ""
}
