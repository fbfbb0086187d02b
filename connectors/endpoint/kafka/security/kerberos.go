package security

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/kerberos"
)

// kerberosLogin is a principal with its key tab.
type kerberosLogin struct {
	keytab    string // a file of the worker
	principal string // name@REALM; without a realm, krb5.conf's default
	service   string // of the brokers, sasl.kerberos.service.name; default kafka
}

func (c *checker) kerberosMechanism(pointer func(string) string, m *Mechanism) sasl.Mechanism {
	if m.SASLJaasConfig == "" {
		c.fail(pointer("saslJaasConfig"), "saslJaasConfig is required")
		return nil
	}
	c.required(pointer, "keyTab", m.kerberos.keytab)
	c.required(pointer, "principal", m.kerberos.principal)
	login := m.kerberos
	if login.service == "" {
		login.service = "kafka"
	}
	return kerberos.Kerberos(func(context.Context) (kerberos.Auth, error) {
		cl, err := login.client()
		if err != nil {
			return kerberos.Auth{}, &Refused{Check: "Kerberos cannot begin: check keyTab and principal, and krb5.conf or KRB5_CONFIG on the worker", Err: err}
		}
		return kerberos.Auth{Client: cl, Service: login.service}, nil
	})
}

// client is made for each authentication, so that changed files count, and destroyed after it.
func (l kerberosLogin) client() (*client.Client, error) {
	path := os.Getenv("KRB5_CONFIG")
	if path == "" {
		path = "/etc/krb5.conf"
	}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	keys, err := keytab.Load(l.keytab)
	if err != nil {
		return nil, err
	}
	name, realm, ok := strings.Cut(l.principal, "@")
	if !ok {
		realm = cfg.LibDefaults.DefaultRealm
	}
	if name == "" || realm == "" {
		return nil, errors.New("the principal has no realm")
	}
	// Active Directory does not speak FAST.
	return client.NewWithKeytab(name, realm, keys, cfg, client.DisablePAFXFAST(true)), nil
}
