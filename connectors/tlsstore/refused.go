package tlsstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
)

// Refused is a connection that no retry brings about: settings or credentials must change first. It has no Unwrap: what is
// inside may look like a passing outage (a missing file is a net.Error), and clients of brokers would try again.
type Refused struct {
	Check string // what to check, for whoever wrote the definition
	Err   error  // why; never with a secret; nil where Check says all
}

func (r *Refused) Error() string {
	if r.Err == nil {
		return r.Check
	}
	return r.Check + ": " + r.Err.Error()
}

// Passes tells an error that may pass by itself: the network, a time limit, the end of the client.
func Passes(err error) bool {
	var network net.Error
	var system *os.SyscallError
	return errors.As(err, &network) && network.Timeout() || errors.As(err, &system) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// refused says what a failed handshake means.
func (t *Transport) refused(err error) error {
	var record tls.RecordHeaderError
	var invalid *tls.CertificateVerificationError
	var name x509.HostnameError
	switch {
	case errors.As(err, &record):
		return &Refused{Check: "the broker does not speak TLS there: check security.protocol and the port"}
	case errors.As(err, &name):
		return &Refused{Check: "the broker's certificate bears another name: check " + t.nameCheck +
			", or set security.ssl.hostnameVerifier to false", Err: name}
	case errors.As(err, &invalid):
		return &Refused{Check: "the broker's certificate is not trusted: check security.ssl.trustStore and how long the certificate is valid",
			Err: invalid.Err}
	}
	if refused := refusedByAlert(err); refused != nil {
		return refused
	}
	if Passes(err) {
		return err
	}
	return &Refused{Check: "no TLS with the broker: check its protocol versions, ciphers and certificate", Err: err}
}

// refusedByAlert is nil for all but a TLS alert from the broker.
func refusedByAlert(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" { // crypto/tls, for alerts alone
		return nil
	}
	return &Refused{Check: "the broker refuses the TLS connection: check that security.ssl.keyStore holds a certificate " +
		"that the broker trusts", Err: op.Err}
}
