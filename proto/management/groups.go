package management

import (
	"time"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Whether APIs have the steps of a shared policy group.
const (
	GroupUndeployed = "UNDEPLOYED" // no API has, and none that refers to it can be deployed
	GroupPending    = "PENDING"    // they have those of an earlier version
	GroupDeployed   = "DEPLOYED"
)

// SharedPolicyGroup is a shared policy group as it is answered (spec 5.10).
type SharedPolicyGroup struct {
	SharedPolicyGroupBody
	OrganizationID string          `json:"organizationId"`
	EnvironmentID  string          `json:"environmentId"`
	LifecycleState string          `json:"lifecycleState" enum:"UNDEPLOYED,PENDING,DEPLOYED"`
	Version        uint64          `json:"version" doc:"Counts the deployments; 0: none yet"`
	CreatedAt      time.Time       `json:"createdAt"`
	UpdatedAt      time.Time       `json:"updatedAt"`
	DeployedAt     *time.Time      `json:"deployedAt,omitempty"`
	APIs           []string        `json:"apis" doc:"Ids of the APIs that are deployed with it"`
	Warnings       apidef.Problems `json:"warnings,omitempty" doc:"What was noticed in the body sent and does not refuse it"`
}

// SharedPolicyGroupBody is a shared policy group as its author writes it.
type SharedPolicyGroupBody struct {
	ID           string        `json:"id,omitempty"`
	CrossID      string        `json:"crossId,omitempty"`
	Name         string        `json:"name"`
	Description  string        `json:"description,omitempty"`
	Prerequisite string        `json:"prerequisiteMessage,omitempty" doc:"What APIs that refer to the group must have, in the words of its author"`
	APIType      string        `json:"apiType" enum:"MESSAGE,PROXY,NATIVE" doc:"The type of the APIs that may refer to it; it never changes"`
	Phase        string        `json:"phase" enum:"REQUEST,RESPONSE,PUBLISH,SUBSCRIBE,INTERACT,CONNECT" doc:"The phase of a flow whose steps may refer to it; it never changes"`
	Steps        []apidef.Step `json:"steps"`
}
