package management

import (
	"time"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Headers of answers.
const (
	HeaderRevision  = "Sluice-Revision"          // the deployed revision that a change made
	HeaderConfirmed = "Sluice-Workers-Confirmed" // with ?wait: how many workers serve it, or have dropped the API
)

// States of an API.
const (
	StateStarted = "STARTED"
	StateStopped = "STOPPED"
)

// Whether an API's record is what its workers are told to serve.
const (
	Deployed     = "DEPLOYED"
	NeedRedeploy = "NEED_REDEPLOY"
)

// API is an API as it is answered: its definition in the gateway's dialect, and what the control plane knows of it.
type API struct {
	apidef.API
	OrganizationID  string          `json:"organizationId"`
	EnvironmentID   string          `json:"environmentId"`
	State           string          `json:"state" enum:"STARTED,STOPPED"`
	LifecycleState  string          `json:"lifecycleState" enum:"CREATED,PUBLISHED,UNPUBLISHED,DEPRECATED,ARCHIVED"`
	Visibility      string          `json:"visibility" enum:"PUBLIC,PRIVATE"`
	DeploymentState string          `json:"deploymentState" enum:"DEPLOYED,NEED_REDEPLOY" doc:"Whether what is deployed is what the API and its plans say now"`
	CreatedAt       time.Time       `json:"createdAt"`
	UpdatedAt       time.Time       `json:"updatedAt"`
	DeployedAt      *time.Time      `json:"deployedAt,omitempty"`
	Deployment      *Deployment     `json:"deployment,omitempty" doc:"The last deployment"`
	Plans           []Plan          `json:"plans"`
	Warnings        apidef.Problems `json:"warnings,omitempty" doc:"What was noticed in the body sent and does not refuse it"`
	Rollout         *Rollout        `json:"rollout,omitempty" doc:"With ?wait: what the workers made of the revision"`
}

// Deployment is what was last deployed of an API.
type Deployment struct {
	Revision uint64    `json:"revision" doc:"Grows with every change of what is deployed, over all APIs"`
	Number   uint64    `json:"number" doc:"Counts the API's deployments, from 1"`
	Label    string    `json:"label,omitempty"`
	Actor    string    `json:"actor,omitempty"`
	At       time.Time `json:"at"`
}

// Plan is a plan as it is answered.
type Plan struct {
	apidef.Plan
	API         string     `json:"apiId"`
	CreatedAt   time.Time  `json:"createdAt"`
	UpdatedAt   time.Time  `json:"updatedAt"`
	PublishedAt *time.Time `json:"publishedAt,omitempty"`
	ClosedAt    *time.Time `json:"closedAt,omitempty"`
}

// Page is one page of a list (spec 8.3).
type Page[T any] struct {
	Data       []T        `json:"data"`
	Pagination Pagination `json:"pagination"`
	Links      Links      `json:"links"`
}

// Pagination says where a page stands.
type Pagination struct {
	Page           int `json:"page" doc:"Counted from 1"`
	PerPage        int `json:"perPage"`
	PageCount      int `json:"pageCount"`
	PageItemsCount int `json:"pageItemsCount"`
	TotalCount     int `json:"totalCount"`
}

// Links lead to other pages; one that is not there is left out.
type Links struct {
	Self     string `json:"self"`
	First    string `json:"first,omitempty"`
	Previous string `json:"previous,omitempty"`
	Next     string `json:"next,omitempty"`
	Last     string `json:"last,omitempty"`
}

// What a worker makes of a revision of an API.
const (
	WorkerServing = "SERVING" // it serves the revision or a later one
	WorkerRemoved = "REMOVED" // it serves the API no more, as it was told
	WorkerFailed  = "FAILED"  // it could not build the revision and serves what it served before
	WorkerPending = "PENDING" // it has not said yet
)

// WorkerOutcome is what one worker makes of a revision of an API.
type WorkerOutcome struct {
	Worker   string `json:"worker"`
	State    string `json:"state" enum:"SERVING,REMOVED,FAILED,PENDING"`
	Revision uint64 `json:"revision" doc:"The revision that the worker serves; 0: none"`
	Error    string `json:"error,omitempty"`
}

// Rollout is how far a revision has come.
type Rollout struct {
	Revision  uint64          `json:"revision"`
	Confirmed int             `json:"confirmed" doc:"How many workers serve the revision, or have dropped the API"`
	Workers   []WorkerOutcome `json:"workers"`
}

// Deployments tells which workers serve what of an API.
type Deployments struct {
	API      string          `json:"apiId"`
	State    string          `json:"state" enum:"STARTED,STOPPED"`
	Revision uint64          `json:"revision" doc:"The revision to be served; 0: none"`
	Current  *Deployment     `json:"current,omitempty"`
	Workers  []WorkerOutcome `json:"workers"`
}

// Worker is a worker as the control plane knows it.
type Worker struct {
	ID          string          `json:"id"`
	Version     string          `json:"version,omitempty"`
	Tags        []string        `json:"tags,omitempty" doc:"Sharding tags"`
	Live        bool            `json:"live" doc:"Its last word is fresh"`
	Ready       bool            `json:"ready" doc:"It serves all it was told to, as far as it could be built"`
	Revision    uint64          `json:"revision" doc:"The revision it has applied"`
	APIs        int             `json:"apis" doc:"How many APIs it serves"`
	Connections uint64          `json:"connections"`
	SeenAt      time.Time       `json:"seenAt"`
	Failures    []WorkerFailure `json:"failures,omitempty"`
	Fault       string          `json:"fault,omitempty" doc:"Why it takes no revisions now"`
}

// WorkerFailure is an API that a worker cannot serve as it was told.
type WorkerFailure struct {
	API      string `json:"apiId"`
	Revision uint64 `json:"revision" doc:"The revision that failed"`
	Serving  uint64 `json:"serving" doc:"The revision served in its place; 0: none"`
	Error    string `json:"error"`
}

// Cluster is the control plane as the answering node sees it.
type Cluster struct {
	Node        string   `json:"node" doc:"The node that answers"`
	State       string   `json:"state" enum:"leader,follower,candidate,shutdown"`
	Leader      string   `json:"leader" doc:"Empty: none is known"`
	Term        uint64   `json:"term"`
	LastIndex   uint64   `json:"lastIndex"`
	CommitIndex uint64   `json:"commitIndex"`
	Applied     uint64   `json:"appliedIndex" doc:"The last command that the node has applied"`
	Revision    uint64   `json:"revision" doc:"The last change of what is deployed"`
	APIs        int      `json:"apis"`
	Rejected    uint64   `json:"rejected" doc:"Log entries that could not be read"`
	Members     []Member `json:"members"`
}

// Member is a node of the control plane.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
	Leader  bool   `json:"leader"`
}
