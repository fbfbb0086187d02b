package natsserver

import (
	"encoding/base64"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// authenticator lets in who proves an nkey that is authorized. It is asked at each connect, so that who may connect
// can change while the server runs.
type authenticator struct {
	authorize func(nkey string) (wire.Permissions, bool)
	log       *slog.Logger
	live      func(id uint64) bool // whether the client is connected; set before the first one can be

	mu sync.Mutex
	// guards the following
	clients map[uint64]client // by the server's id; those that have gone are swept now and then
	sweepAt int
}

// client is what a connected client was let in with.
type client struct {
	nkey  string
	perms wire.Permissions
}

// sweepMin is the least number of clients at which those that have gone are looked for.
const sweepMin = 64

// enter notes a client.
func (a *authenticator) enter(id uint64, c client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.clients) >= max(a.sweepAt, sweepMin) {
		maps.DeleteFunc(a.clients, func(id uint64, _ client) bool { return !a.live(id) })
		a.sweepAt = 2 * len(a.clients)
	}
	a.clients[id] = c
}

// stale lists the clients that would not be let in as they were.
func (a *authenticator) stale() []uint64 {
	a.mu.Lock()
	clients := maps.Clone(a.clients)
	a.mu.Unlock()
	var out []uint64
	for id, c := range clients {
		perms, ok := a.authorize(c.nkey)
		if !ok || !slices.Equal(perms.Publish, c.perms.Publish) || !slices.Equal(perms.Subscribe, c.perms.Subscribe) {
			out = append(out, id)
		}
	}
	return out
}

// Check implements server.Authentication.
func (a *authenticator) Check(c server.ClientAuthentication) bool {
	opts := c.GetOpts()
	if opts == nil || !proved(opts.Nkey, opts.Sig, c.GetNonce()) {
		a.log.Warn("NATS client refused: no proof of its nkey", "remote", remote(c))
		return false
	}
	perms, ok := a.authorize(opts.Nkey)
	if !ok {
		a.log.Warn("NATS client refused: nkey not authorized", "remote", remote(c), "nkey", opts.Nkey)
		return false
	}
	c.RegisterUser(&server.User{
		Username: opts.Nkey,
		Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: perms.Publish},
			Subscribe: &server.SubjectPermission{Allow: perms.Subscribe},
		},
	})
	a.enter(c.GetID(), client{nkey: opts.Nkey, perms: perms})
	return true
}

// proved tells whether signature is that of the holder of the key over the nonce that it was sent.
func proved(public, signature string, nonce []byte) bool {
	if public == "" || len(nonce) == 0 || !nkeys.IsValidPublicUserKey(public) {
		return false
	}
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		if sig, err = base64.StdEncoding.DecodeString(signature); err != nil { // older clients
			return false
		}
	}
	key, err := nkeys.FromPublicKey(public)
	return err == nil && key.Verify(nonce, sig) == nil
}

func remote(c server.ClientAuthentication) string {
	if a := c.RemoteAddress(); a != nil {
		return a.String()
	}
	return "in process"
}
