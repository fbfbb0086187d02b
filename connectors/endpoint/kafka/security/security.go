// Package security says how the Kafka endpoint connects: TLS with its trust and key stores, and SASL. It checks the
// `security` block of a definition, finding every problem at once, and makes options of franz-go of it. It opens no
// connection itself and starts no goroutine: what it makes is called by franz-go, which dials and authenticates.
//
// No password, token or private key is ever part of an error, a problem or a log line.
package security

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/tlsstore"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Protocols of brokers' listeners.
const (
	protocolPlain         = "PLAINTEXT"
	protocolSSL           = "SSL"
	protocolSASLPlaintext = "SASL_PLAINTEXT"
	protocolSASLSSL       = "SASL_SSL"
)

// Config is the `security` block (spec 3.2).
type Config struct {
	// Protocol: PLAINTEXT (default), SSL, SASL_PLAINTEXT or SASL_SSL.
	Protocol string `json:"protocol"`
	// SASL says who we are. For SASL_PLAINTEXT and SASL_SSL.
	SASL *SASL `json:"sasl"`
	// SSL says whom we trust and shows our certificate. For SSL and SASL_SSL; without it, the system's authorities are trusted.
	SSL *tlsstore.SSL `json:"ssl"`
}

// SASL has two forms: the object Mechanism, or Type and JAAS as text.
type SASL struct {
	// Mechanism is an object with a type and that type's settings, see Mechanism.
	Mechanism json.RawMessage `json:"mechanism"`
	// Type is the mechanism of the older form: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM or GSSAPI.
	Type string `json:"saslMechanism"`
	// JAAS is a login module as in a Java client's sasl.jaas.config.
	JAAS string `json:"saslJaasConfig"`
}

// Plan is a checked Config. The zero value is PLAINTEXT.
type Plan struct {
	tls       *tlsstore.Transport
	mechanism sasl.Mechanism
}

// Read checks cfg, which was found at the pointer at; nil is PLAINTEXT. The plan is of use only without errors.
func Read(cfg *Config, at string) (*Plan, apidef.Problems) {
	if cfg == nil {
		return &Plan{}, nil
	}
	c := &checker{}
	rest := *cfg
	rest.SSL = nil // tells of its own
	c.problems = tlsstore.Expressions(at, &rest)
	plan := &Plan{}
	protocol := strings.ToUpper(cfg.Protocol)
	switch protocol {
	case "":
		protocol = protocolPlain
	case protocolPlain, protocolSSL, protocolSASLPlaintext, protocolSASLSSL:
	default:
		c.fail(at+"/protocol", fmt.Sprintf("%q is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", cfg.Protocol))
		protocol = ""
	}
	plan.mechanism = c.sasl(at+"/sasl", protocol, cfg.SASL)
	plan.tls = c.ssl(at+"/ssl", protocol, cfg.SSL)
	return plan, c.problems
}

// Options are what a client needs to connect as planned. All clients of an endpoint share tokens and certificates.
func (p *Plan) Options(log *slog.Logger) []kgo.Opt {
	var opts []kgo.Opt
	if p.tls != nil {
		opts = append(opts, kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			return p.tls.Dial(ctx, network, addr, log)
		}))
	}
	if p.mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism{p.mechanism}))
	}
	return opts
}

// checker collects what is wrong.
type checker struct{ problems apidef.Problems }

func (c *checker) fail(pointer, text string) {
	c.problems = append(c.problems, connectors.Invalid(pointer, text))
}

// decode is connectors.Decode for a block found at a pointer.
func (c *checker) decode(at string, raw json.RawMessage, into any) bool {
	ps := connectors.Decode(raw, into)
	for _, p := range ps {
		p.Pointer = at + p.Pointer
		c.problems = append(c.problems, p)
	}
	return ps.Err() == nil
}
