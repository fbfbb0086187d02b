package natsserver

import (
	"encoding/base64"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// authenticator lets in who proves an nkey that is authorized. It is asked at each connect, so that who may connect
// can change while the server runs.
type authenticator struct {
	authorize func(nkey string) (wire.Permissions, bool)
	log       *slog.Logger
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
