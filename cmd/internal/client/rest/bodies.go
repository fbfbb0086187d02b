package rest

import (
	"encoding/json"
	"strings"
	"time"
)

// Item is one object of an answer: what the client reads of it, and all of it as the server wrote it, which is what
// -o json prints.
type Item[T any] struct {
	Value T
	Raw   json.RawMessage
}

// UnmarshalJSON keeps the text beside the value.
func (i *Item[T]) UnmarshalJSON(data []byte) error {
	i.Raw = append(json.RawMessage(nil), data...)
	return json.Unmarshal(data, &i.Value)
}

// MarshalJSON gives back what the server wrote.
func (i Item[T]) MarshalJSON() ([]byte, error) { return i.Raw, nil }

// list is a bare list, or a page of one (spec 8.3).
type list[T any] struct {
	Data       []Item[T] `json:"data"`
	Pagination struct {
		Page      int `json:"page"`
		PageCount int `json:"pageCount"`
	} `json:"pagination"`
}

func (l *list[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, &l.Data)
	}
	type page list[T]
	return json.Unmarshal(data, (*page)(l))
}

// Moment is a time as servers of this kind write it: RFC 3339, or milliseconds since 1970.
type Moment struct{ time.Time }

// UnmarshalJSON takes both forms, and null.
func (m *Moment) UnmarshalJSON(data []byte) error {
	var ms int64
	if json.Unmarshal(data, &ms) == nil {
		if ms > 0 {
			m.Time = time.UnixMilli(ms).UTC()
		}
		return nil
	}
	return json.Unmarshal(data, &m.Time)
}

// API is what the command line shows of an API; the definition itself is read from the raw body.
type API struct {
	ID              string `json:"id"`
	CrossID         string `json:"crossId"`
	Name            string `json:"name"`
	APIVersion      string `json:"apiVersion"`
	Type            string `json:"type"`
	State           string `json:"state"`           // STARTED or STOPPED
	DeploymentState string `json:"deploymentState"` // DEPLOYED or NEED_REDEPLOY
	LifecycleState  string `json:"lifecycleState"`
	UpdatedAt       Moment `json:"updatedAt"`
	DeployedAt      Moment `json:"deployedAt"`
	Listeners       []struct {
		Type  string `json:"type"`
		Paths []struct {
			Host string `json:"host"`
			Path string `json:"path"`
		} `json:"paths"`
		Hosts []string `json:"hosts"`
		Host  string   `json:"host"`
		Port  int      `json:"port"`
	} `json:"listeners"`
}

// Started tells whether the API is to be served.
func (a *API) Started() bool { return a.State == "STARTED" }

// Plan is what the command line shows of a plan.
type Plan struct {
	ID       string `json:"id"`
	Key      string `json:"key"`
	CrossID  string `json:"crossId"`
	Name     string `json:"name"`
	Status   string `json:"status"`
	Mode     string `json:"mode"`
	Order    int    `json:"order"`
	Security struct {
		Type string `json:"type"`
	} `json:"security"`
}

// NewPlan creates a plan. It is staged unless Status says otherwise.
type NewPlan struct {
	Name          string          `json:"name"`
	Description   string          `json:"description,omitempty"`
	Security      *PlanSecurity   `json:"security,omitempty"` // nil for a push plan
	Mode          string          `json:"mode,omitempty"`
	Validation    string          `json:"validation,omitempty"`
	SelectionRule string          `json:"selectionRule,omitempty"`
	Tags          []string        `json:"tags,omitempty"`
	Status        string          `json:"status,omitempty"`
	Flows         json.RawMessage `json:"flows,omitempty"`
}

// PlanSecurity is how a plan knows its callers.
type PlanSecurity struct {
	Type          string          `json:"type"`
	Configuration json.RawMessage `json:"configuration,omitempty"`
}

// Deployment is what the workers serve of an API.
type Deployment struct {
	API      string     `json:"api"`
	State    string     `json:"state"` // of the API
	Revision uint64     `json:"revision"`
	Number   uint64     `json:"number"`
	Label    string     `json:"label"`
	At       Moment     `json:"deployedAt"`
	Workers  []Deployed `json:"workers"`
	Total    int        `json:"total"`
	Ready    int        `json:"ready"`
}

// Deployed is one worker's state of an API.
type Deployed struct {
	Worker   string `json:"worker"`
	Revision uint64 `json:"revision"`
	State    string `json:"state"`
	Error    string `json:"error"`
}

// Worker is what the command line shows of a worker.
type Worker struct {
	ID          string   `json:"id"`
	Version     string   `json:"version"`
	State       string   `json:"state"`
	Revision    uint64   `json:"revision"`
	Tags        []string `json:"tags"`
	Connections int      `json:"connections"`
	LastSeen    Moment   `json:"lastSeen"`
}

// Cluster is the control plane: its nodes, and who leads.
type Cluster struct {
	ID       string `json:"id"`
	Version  string `json:"version"`
	Leader   string `json:"leader"`
	Revision uint64 `json:"revision"`
	Nodes    []struct {
		ID      string `json:"id"`
		Address string `json:"address"`
		Leader  bool   `json:"leader"`
		State   string `json:"state"`
	} `json:"nodes"`
}

// Closed tells whether the plan's life is over.
func (p *Plan) Closed() bool { return strings.EqualFold(p.Status, "closed") }
