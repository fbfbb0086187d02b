// Package inlineauth is the resource "auth-provider-inline-resource" (policies.md 11.6): users and their passwords, written into the API.
// Passwords are compared in constant time, whether the user is known or not.
package inlineauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"

	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of auth-provider-inline-resource.
type Config struct {
	// Users are who is known. Required.
	Users []User `json:"users"`
}

// User is somebody.
type User struct {
	// Username is the name. Required, and once.
	Username string `json:"username"`
	// Password is the password.
	Password string `json:"password"`
	// Roles are what rbac reads.
	Roles []string `json:"roles"`
}

// Type is the catalog entry.
var Type = resource.Type{ID: "auth-provider-inline-resource", Name: "Inline Authentication Provider", Config: &Config{}, Compile: compile}

type provider struct{ users map[string]user }

type user struct {
	password [sha256.Size]byte
	identity resource.Identity
}

func compile(cfg json.RawMessage, _ resource.Env) (any, apidef.Problems) {
	var c Config
	problems := settings.Decode(cfg, &c)
	if len(c.Users) == 0 {
		problems = append(problems, settings.Invalid("/users", "is required: who is known"))
	}
	p := &provider{users: make(map[string]user, len(c.Users))}
	for i, u := range c.Users {
		_, twice := p.users[u.Username]
		if u.Username == "" || twice {
			problems = append(problems, settings.Invalid(fmt.Sprintf("/users/%d/username", i), "is required, and must differ from the others"))
		}
		p.users[u.Username] = user{sha256.Sum256([]byte(u.Password)), resource.Identity{Name: u.Username, Roles: u.Roles}}
	}
	return p, problems
}

// Authenticate implements resource.AuthProvider.
func (p *provider) Authenticate(_ context.Context, name, password string) (*resource.Identity, error) {
	u, known := p.users[name]
	given := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(u.password[:], given[:]) != 1 || !known {
		return nil, resource.ErrUnknown
	}
	return &u.identity, nil
}

var _ resource.AuthProvider = (*provider)(nil)
