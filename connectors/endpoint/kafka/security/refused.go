package security

import (
	"context"
	"errors"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/sluice-gateway/sluice/connectors/tlsstore"
)

// Refused is a connection that no retry brings about.
type Refused = tlsstore.Refused

// Texts for what brokers answer.
const (
	checkCredentials = "the broker refuses the credentials: check user name, password or token in security.sasl, and that they were made for this mechanism"
	checkMechanism   = "the broker does not offer this mechanism: check security.sasl and the broker's sasl.enabled.mechanisms"
	checkListener    = "the broker's listener does not expect SASL: check security.protocol and the port"
)

// Advice tells what to check when err is a refusal to connect; ok: it is one.
func Advice(err error) (text string, ok bool) {
	var r *Refused
	switch {
	case errors.As(err, &r):
		return r.Check, true
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return checkCredentials, true
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return checkMechanism, true
	case errors.Is(err, kerr.IllegalSaslState):
		return checkListener, true
	}
	return "", false
}

// mechanism makes refusals of what a mechanism does not get through.
type mechanism struct{ sasl.Mechanism }

// Authenticate implements sasl.Mechanism.
func (m mechanism) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	s, first, err := m.Mechanism.Authenticate(ctx, host)
	if err != nil {
		return nil, nil, refusedSASL(m.Name()+" cannot begin: check security.sasl", err)
	}
	return session{s, m.Name()}, first, nil
}

type session struct {
	sasl.Session
	name string
}

// Challenge implements sasl.Session.
func (s session) Challenge(answer []byte) (bool, []byte, error) {
	done, next, err := s.Session.Challenge(answer)
	if err != nil {
		return done, next, refusedSASL(s.name+": "+checkCredentials, err)
	}
	return done, next, nil
}

func refusedSASL(check string, err error) error {
	var r *Refused
	var network net.Error
	if errors.As(err, &r) || errors.As(err, &network) || tlsstore.Passes(err) {
		return err
	}
	return &Refused{Check: check, Err: err}
}
