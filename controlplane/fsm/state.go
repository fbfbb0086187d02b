package fsm

import (
	"github.com/benbjohnson/immutable"

	"github.com/sluice-gateway/sluice/proto/command"
)

// State is the state after one command. It never changes once published: readers hold it as long as they like,
// and everything reached from it is read-only.
type State struct {
	index    uint64
	revision uint64
	atMS     int64
	rejected uint64
	apis     *immutable.SortedMap[string, *API]   // id -> record
	claims   *immutable.SortedMap[string, string] // Claim.key -> id of the API that holds it

	subscriptions *immutable.SortedMap[string, *Subscription] // id -> record
	members       *immutable.SortedMap[string, string]        // API's id and subscription's, memberKey -> subscription's id
	subscribers   *immutable.SortedMap[string, string]        // Subscription.taken -> id of the open subscription that holds it
	replaying     *immutable.SortedMap[string, string]        // id -> id of the subscriptions that have a running replay

	groups *immutable.SortedMap[string, *Group] // id -> record

	touched touches
	next    chan struct{} // closed when a later state is published
}

// Lifecycle states of an API (spec 8.1).
const (
	LifecycleCreated     = "CREATED"
	LifecyclePublished   = "PUBLISHED"
	LifecycleUnpublished = "UNPUBLISHED"
	LifecycleDeprecated  = "DEPRECATED"
	LifecycleArchived    = "ARCHIVED"
)

// VisibilityPrivate is the visibility of a new API.
const VisibilityPrivate = "PRIVATE"

// API is one API's record. Times are in milliseconds since 1970 UTC, by the leader's clock.
type API struct {
	ID           string
	Organization string
	Environment  string
	CrossID      string
	Name         string
	Type         string
	Definition   []byte // normal form as JSON, without plans
	Tags         []string
	Claims       []Claim
	Plans        []*Plan // by order, then by age
	Started      bool
	Lifecycle    string
	Visibility   string
	CreatedAtMS  int64
	UpdatedAtMS  int64
	Version      uint64    // raft index of the last change; the ETag
	Deployed     *Deployed // nil: never deployed
}

// Plan is one plan of an API.
type Plan struct {
	ID            string
	Key           string
	CrossID       string
	Name          string
	Security      string // key-less, api-key, jwt, oauth2, mtls, or empty for a push plan
	Definition    []byte // normal form as JSON; id, status and order are those of this record
	Status        command.PlanStatus
	Order         int32
	CreatedAtMS   int64
	UpdatedAtMS   int64
	PublishedAtMS int64 // 0: never
	ClosedAtMS    int64 // 0: not closed
}

// Secures reports whether the plan's security is of this kind; push and subscription stand for none (spec 7.2).
func (p *Plan) Secures(kind string) bool {
	if kind == "push" || kind == "subscription" {
		return p.Security == ""
	}
	return p.Security == kind
}

// Served reports whether workers serve the plan.
func (p *Plan) Served() bool {
	return p.Status == command.PlanStatus_PLAN_STATUS_PUBLISHED || p.Status == command.PlanStatus_PLAN_STATUS_DEPRECATED
}

// Deployed is what was last deployed of an API: the bytes that workers get.
type Deployed struct {
	Definition []byte // normal form as JSON, with the plans to serve
	Tags       []string
	Label      string
	Number     uint64 // counts the API's deployments, from 1
	Revision   uint64 // raft index of the deployment, or of the start that put it back
	AtMS       int64
	Actor      string
	// Placed is the raft index since when the API is served where it is now: of its last start, or of the deployment that
	// gave it other tags. Its subscriptions follow it there.
	Placed uint64
	Slots  []Slot // where the steps of shared policy groups are in Definition
}

// Index is the raft index of the last command applied.
func (s *State) Index() uint64 { return s.index }

// Revision is the raft index of the last change of what is deployed.
func (s *State) Revision() uint64 { return s.revision }

// AtMS is the latest leader's time seen, in milliseconds since 1970 UTC.
func (s *State) AtMS() int64 { return s.atMS }

// Rejected counts the log entries that could not be read; each was refused with an error result.
func (s *State) Rejected() uint64 { return s.rejected }

// Superseded is closed when a later state is there. Wait for it, then ask the FSM for its state again.
func (s *State) Superseded() <-chan struct{} { return s.next }

// Len is the number of APIs.
func (s *State) Len() int { return s.apis.Len() }

// API returns the record with this id, or nil.
func (s *State) API(id string) *API {
	a, _ := s.apis.Get(id)
	return a
}

// APIs yields every record by id.
func (s *State) APIs(yield func(*API) bool) {
	for it := s.apis.Iterator(); !it.Done(); {
		_, a, _ := it.Next()
		if !yield(a) {
			return
		}
	}
}

// Serving yields what workers are to serve: every API that is started and deployed, by id.
func (s *State) Serving(yield func(*API) bool) {
	for a := range s.APIs {
		if a.Started && a.Deployed != nil && !yield(a) {
			return
		}
	}
}

// Plan returns the plan with this id, or nil.
func (a *API) Plan(id string) *Plan {
	for _, p := range a.Plans {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// Deployable reports whether the API has a plan that workers would serve.
func (a *API) Deployable() bool {
	for _, p := range a.Plans {
		if p.Served() {
			return true
		}
	}
	return false
}

func empty() *State {
	return &State{
		apis:   immutable.NewSortedMap[string, *API](nil),
		claims: immutable.NewSortedMap[string, string](nil),

		subscriptions: immutable.NewSortedMap[string, *Subscription](nil),
		members:       immutable.NewSortedMap[string, string](nil),
		subscribers:   immutable.NewSortedMap[string, string](nil),
		replaying:     immutable.NewSortedMap[string, string](nil),

		groups: immutable.NewSortedMap[string, *Group](nil),

		next: make(chan struct{}),
	}
}
