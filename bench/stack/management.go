package stack

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Management talks to a management API as a user's script would.
type Management struct {
	URL    string // "http://127.0.0.1:8083"
	Token  string
	Client *http.Client // nil: the default one
}

const (
	// environment is the path of the default organisation and environment.
	environment = "/management/organizations/DEFAULT/environments/DEFAULT"
	// maxAnswer bounds an answer of the management API, in bytes.
	maxAnswer = 64 << 20
)

// many keeps the connections of many callers: made anew, they use up the ports.
var many = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// Answer is a response with its body read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends one request; path starts behind the environment ("/v4/apis") unless it starts with "/management". Header holds names
// and values in turn.
func (m Management) Do(ctx context.Context, method, path string, body []byte, header ...string) (Answer, error) {
	if !strings.HasPrefix(path, "/management") {
		path = environment + path
	}
	req, err := http.NewRequestWithContext(ctx, method, m.URL+path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+m.Token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := cmp.Or(m.Client, http.DefaultClient).Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return Answer{Status: res.StatusCode, Header: res.Header, Body: out}, err
}

// Create stores an API and returns its id.
func (m Management) Create(ctx context.Context, definition []byte) (string, error) {
	a, err := m.Do(ctx, http.MethodPost, "/v4/apis/", definition)
	if err != nil {
		return "", err
	}
	var api struct {
		ID string `json:"id"`
	}
	if a.Status != http.StatusCreated || json.Unmarshal(a.Body, &api) != nil || api.ID == "" {
		return "", fmt.Errorf("create: %d %s", a.Status, a.Body)
	}
	return api.ID, nil
}

// Update stores a new definition of an API.
func (m Management) Update(ctx context.Context, id string, definition []byte) error {
	return m.expect(ctx, http.MethodPut, "/v4/apis/"+id, definition)
}

// Redeploy deploys an API that is there; wait is "" or how long to wait for the workers: "?wait=20s".
func (m Management) Redeploy(ctx context.Context, id, wait string) error {
	return m.expect(ctx, http.MethodPost, "/v4/apis/"+id+"/deploy"+wait, nil)
}

// Start starts an API; wait is "" or how long to wait for the workers: "&wait=20s".
func (m Management) Start(ctx context.Context, id, wait string) error {
	return m.expect(ctx, http.MethodPost, "/v4/apis/"+id+"?action=START"+wait, nil)
}

// Deploy creates the API that definition describes, deploys and starts it, waits until the workers serve it, and returns its
// id. The definition must hold a published plan unless the server adds one (sluice dev).
func (m Management) Deploy(ctx context.Context, definition []byte) (string, error) {
	id, err := m.Create(ctx, definition)
	if err != nil {
		return "", err
	}
	if err := m.Redeploy(ctx, id, "?wait=30s"); err != nil {
		return "", err
	}
	return id, m.Start(ctx, id, "&wait=30s")
}

// Remove stops an API, closes its plans and deletes it, and returns when no worker serves it.
func (m Management) Remove(ctx context.Context, id string) error {
	if err := m.expect(ctx, http.MethodPost, "/v4/apis/"+id+"?action=STOP&wait=30s", nil); err != nil {
		return err
	}
	return m.expect(ctx, http.MethodDelete, "/v4/apis/"+id+"?closePlans=true", nil)
}

func (m Management) expect(ctx context.Context, method, path string, body []byte) error {
	a, err := m.Do(ctx, method, path, body)
	if err == nil && a.Status/100 != 2 {
		err = fmt.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	return err
}

// Leader asks nodes for the id of the one that leads until one knows.
func Leader(ctx context.Context, nodes []Management) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for ctx.Err() == nil {
		for _, n := range nodes {
			var view struct {
				Leader string `json:"leader"`
			}
			a, err := n.Do(ctx, http.MethodGet, "/management/cluster", nil)
			if err == nil && json.Unmarshal(a.Body, &view) == nil && view.Leader != "" {
				return view.Leader, nil
			}
		}
	}
	return "", fmt.Errorf("no node knows a leader: %w", ctx.Err())
}
