package fsm

import (
	"strings"

	"github.com/sluice-gateway/sluice/proto/command"
)

// Claim is a place in the address space of an environment that an API takes for itself (spec 1.4).
type Claim struct {
	Kind command.Claim_Kind
	Host string // lower-case; empty on HTTP: any host that no other claim names
	Path string // starts and ends with "/"; HTTP only
}

// key orders claims so that those of one environment, kind and host stand together, by path.
func (c Claim) key(a *API) string {
	return a.Organization + "\x00" + a.Environment + "\x00" + c.Kind.String() + "\x00" + c.Host + "\x00" + c.Path
}

// conflict returns the claim of another API that c of API a collides with, and that API's id. Paths collide where
// one is a prefix of the other under the same host, hosts where they are equal.
func (s *State) conflict(a *API, c Claim) (place, owner string, found bool) {
	key := c.key(a)
	if c.Kind != command.Claim_KIND_HTTP {
		owner, found = s.claims.Get(key)
		return c.Host, owner, found && owner != a.ID
	}
	base := len(key) - len(c.Path)
	for i := base; i < len(key); i++ { // the paths above c, and c
		if key[i] != '/' {
			continue
		}
		if owner, found = s.claims.Get(key[:i+1]); found && owner != a.ID {
			return key[base : i+1], owner, true
		}
	}
	it := s.claims.Iterator()
	for it.Seek(key); !it.Done(); { // the paths below c
		k, owner, _ := it.Next()
		if !strings.HasPrefix(k, key) {
			break
		}
		if owner != a.ID {
			return k[base:], owner, true
		}
	}
	return "", "", false
}

// claim gives API a its places, taking back the old ones; it refuses a place that is taken.
func (s *State) claim(old []Claim, a *API) *command.Error {
	for _, c := range a.Claims {
		place, owner, found := s.conflict(a, c)
		if !found {
			continue
		}
		name := owner
		if o := s.API(owner); o != nil {
			name = o.Name
		}
		params := []string{"host", c.Host, "path", c.Path, "kind", c.Kind.String(), "conflictsWith", place, "api", owner}
		if c.Kind == command.Claim_KIND_HTTP {
			return refuse(command.Code_CODE_PATH_CONFLICT, params,
				"Path [%s] already exists: API %q (%s) of this environment serves [%s]; choose another path or host", c.Path, name, owner, place)
		}
		return refuse(command.Code_CODE_HOST_CONFLICT, params,
			"Host [%s] already exists: API %q (%s) of this environment listens on it; choose another host", c.Host, name, owner)
	}
	s.release(old, a)
	for _, c := range a.Claims {
		s.claims = s.claims.Set(c.key(a), a.ID)
	}
	return nil
}

func (s *State) release(old []Claim, a *API) {
	for _, c := range old {
		s.claims = s.claims.Delete(c.key(a))
	}
}
