package natslink

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// explainOwn tells what to do where the control plane's own NATS cannot be joined.
func explainOwn(err error) error {
	switch {
	case distrusted(err):
		return fmt.Errorf("%w; this is not a node of the cluster that the worker token is from: correct --nats-url, "+
			"or give the token of this cluster (sluice controlplane token)", err)
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("%w; the cluster does not accept this worker's token or name: give it a new one (sluice controlplane token)", err)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("%w; this is not a control-plane node's NATS: correct --nats-url", err)
	}
	return err
}

// explainExternal tells what to do where an external cluster cannot be joined.
func explainExternal(err error) error {
	switch {
	case distrusted(err):
		return fmt.Errorf("%w; where an authority of your own has signed the servers' certificates, give it with --nats-ca-file", err)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrNkeysNotSupported):
		return fmt.Errorf("%w; check --nats-creds, --nats-nkey or --nats-user-file, and what the cluster grants to it", err)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("%w; the servers at --nats-url do not offer TLS", err)
	}
	return err
}

// distrusted tells whether a server's certificate is the matter.
func distrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}
