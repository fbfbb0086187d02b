package process

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench/stack"
)

// Management talks to a management API as a user's script would, and Answer is a response with its body read.
type (
	Management = stack.Management
	Answer     = stack.Answer
)

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
