package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Management talks to a node's management API.
type Management struct {
	URL   string // "http://127.0.0.1:8083"
	Token string
}

const (
	// environment is the path of the default organisation and environment.
	environment = "/management/organizations/DEFAULT/environments/DEFAULT"
	// maxAnswer bounds an answer of the management API, in bytes.
	maxAnswer = 64 << 20
)

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// Do sends one request; path starts behind the environment unless it starts with "/management".
func (m Management) Do(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	if !strings.HasPrefix(path, "/management") {
		path = environment + path
	}
	req, err := http.NewRequestWithContext(ctx, method, m.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+m.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, answer, err
}

// Create stores an API and returns its id.
func (m Management) Create(ctx context.Context, definition []byte) (string, error) {
	status, body, err := m.Do(ctx, http.MethodPost, "/v4/apis/", definition)
	if err != nil {
		return "", err
	}
	var api struct {
		ID string `json:"id"`
	}
	if status != http.StatusCreated || json.Unmarshal(body, &api) != nil || api.ID == "" {
		return "", fmt.Errorf("create: %d %s", status, body)
	}
	return api.ID, nil
}

// Update stores a new definition of an API.
func (m Management) Update(ctx context.Context, id string, definition []byte) error {
	return m.expect(ctx, http.MethodPut, "/v4/apis/"+id, definition)
}

// Deploy deploys an API; wait is "" or how long to wait for the workers: "?wait=20s".
func (m Management) Deploy(ctx context.Context, id, wait string) error {
	return m.expect(ctx, http.MethodPost, "/v4/apis/"+id+"/deploy"+wait, nil)
}

// Start starts an API; wait is "" or how long to wait for the workers: "&wait=20s".
func (m Management) Start(ctx context.Context, id, wait string) error {
	return m.expect(ctx, http.MethodPost, "/v4/apis/"+id+"?action=START"+wait, nil)
}

// Serve creates, deploys and starts an API, waits until the workers serve it, and returns its id.
func (m Management) Serve(ctx context.Context, definition []byte) (string, error) {
	id, err := m.Create(ctx, definition)
	if err != nil {
		return "", err
	}
	if err := m.Deploy(ctx, id, "?wait=30s"); err != nil {
		return "", err
	}
	return id, m.Start(ctx, id, "&wait=30s")
}

// Delete stops, closes the plans of, and deletes an API.
func (m Management) Delete(ctx context.Context, id string) error {
	if err := m.expect(ctx, http.MethodPost, "/v4/apis/"+id+"?action=STOP&wait=30s", nil); err != nil {
		return err
	}
	return m.expect(ctx, http.MethodDelete, "/v4/apis/"+id+"?closePlans=true", nil)
}

func (m Management) expect(ctx context.Context, method, path string, body []byte) error {
	status, answer, err := m.Do(ctx, method, path, body)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	return nil
}
