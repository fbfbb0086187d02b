package process

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Management talks to a management API as a user's script would.
type Management struct {
	URL   string // of the control-plane node, e.g. "http://127.0.0.1:8083"
	Token string
}

// base is the path of the default organisation and environment.
const base = "/management/organizations/DEFAULT/environments/DEFAULT"

// Answer is a response with its body read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends one request; path starts behind the environment ("/v4/apis") unless it starts with "/management".
func (m Management) Do(ctx context.Context, method, path string, body []byte, header ...string) (Answer, error) {
	url := m.URL + base + path
	if strings.HasPrefix(path, "/management") {
		url = m.URL + path
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+m.Token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	return Answer{Status: res.StatusCode, Header: res.Header, Body: out}, err
}

// Deploy creates the API that definition describes, deploys and starts it, waits until the workers serve it, and
// returns its id. The definition must hold a published plan unless the server adds one (sluice dev).
func (m Management) Deploy(ctx context.Context, definition []byte) (string, error) {
	a, err := m.Do(ctx, http.MethodPost, "/v4/apis/", definition)
	if err != nil {
		return "", err
	}
	if a.Status != http.StatusCreated {
		return "", fmt.Errorf("create: %d %s", a.Status, a.Body)
	}
	var api struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(a.Body, &api); err != nil || api.ID == "" {
		return "", fmt.Errorf("create answered no id: %s", a.Body)
	}
	for _, step := range []string{"/deploy?wait=20s", "?action=START&wait=20s"} {
		a, err := m.Do(ctx, http.MethodPost, "/v4/apis/"+api.ID+step, nil)
		if err != nil {
			return "", err
		}
		if a.Status/100 != 2 {
			return "", fmt.Errorf("%s: %d %s", step, a.Status, a.Body)
		}
	}
	return api.ID, nil
}

// Remove stops and deletes an API, and returns when no worker serves it.
func (m Management) Remove(ctx context.Context, id string) error {
	for _, step := range []struct{ method, path string }{
		{http.MethodPost, "?action=STOP&wait=20s"}, {http.MethodDelete, "?closePlans=true"},
	} {
		a, err := m.Do(ctx, step.method, "/v4/apis/"+id+step.path, nil)
		if err != nil {
			return err
		}
		if a.Status/100 != 2 {
			return fmt.Errorf("remove the API: %s %s: %d %s", step.method, step.path, a.Status, a.Body)
		}
	}
	return nil
}

// Dev is a running `sluice dev`.
type Dev struct {
	*Process
	Management
	Gateway string // "http://127.0.0.1:port"
	Admin   string // "http://127.0.0.1:port"
	DataDir string
}

// StartDev runs `sluice dev` in dir with free ports and waits until it is ready; more flags may follow.
func StartDev(ctx context.Context, dir string, flags ...string) (*Dev, error) {
	gateway, management, admin := FreeAddr(), FreeAddr(), FreeAddr()
	d := &Dev{Gateway: "http://" + gateway, Admin: "http://" + admin, DataDir: filepath.Join(dir, "data")}
	args := append([]string{"dev", "--data-dir", d.DataDir, "--gateway-addr", gateway, "--management-addr", management, "--admin-addr", admin}, flags...)
	var err error
	if d.Process, err = Start("dev", dir, args...); err != nil {
		return nil, err
	}
	if err := d.AwaitOK(ctx, d.Admin+"/_node/ready"); err != nil {
		d.Kill()
		return nil, err
	}
	if d.Management, err = NewManagement("http://"+management, filepath.Join(d.DataDir, "admin-token")); err != nil {
		d.Kill()
	}
	return d, err
}

// NewManagement reads the admin token from a file.
func NewManagement(url, tokenFile string) (Management, error) {
	token, err := os.ReadFile(tokenFile)
	return Management{URL: url, Token: strings.TrimSpace(string(token))}, err
}

// Within is the time a test gives one step on a busy machine of two cores.
const Within = time.Minute
