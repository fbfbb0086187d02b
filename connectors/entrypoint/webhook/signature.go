package webhook

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// Headers of Standard Webhooks. The id is sent with every call, signed or not: at-least-once repeats, and a receiver knows a
// message again by it.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

// signer is one secret.
type signer struct {
	hmac []byte             // v1
	key  ed25519.PrivateKey // v1a, where hmac is nil
}

func (k *checker) signers(at string, secrets []string) []signer {
	const most = 8
	if len(secrets) > most {
		k.fail(at, fmt.Sprintf("has %d secrets, at most %d are taken", len(secrets), most))
	}
	var out []signer
	for i, secret := range secrets {
		s, why := parseSecret(secret)
		if why != "" {
			k.fail(at+"/"+strconv.Itoa(i), why)
			continue
		}
		out = append(out, s)
	}
	return out
}

// parseSecret reads a secret as the standard writes it. It says why it cannot, without the secret.
func parseSecret(text string) (s signer, why string) {
	const least, most = 24, 64 // bytes of a symmetric secret (standardwebhooks.com, "Signature scheme")
	if rest, ok := strings.CutPrefix(text, "whsk_"); ok {
		key, err := base64.StdEncoding.DecodeString(rest)
		switch {
		case err == nil && len(key) == ed25519.SeedSize:
			return signer{key: ed25519.NewKeyFromSeed(key)}, ""
		case err == nil && len(key) == ed25519.PrivateKeySize:
			return signer{key: key}, ""
		}
		return s, `must be "whsk_" and an ed25519 private key (its seed of 32 bytes, or 64 bytes) in base64`
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(secret) < least || len(secret) > most {
		return s, fmt.Sprintf(`must be "whsec_" and %d to %d random bytes in base64`, least, most)
	}
	return signer{hmac: secret}, ""
}

// scribe signs calls, one at a time: it keeps what signing needs.
type scribe struct {
	signers []signer
	macs    []hash.Hash
	sum     []byte
	signed  []byte // for ed25519, which takes no stream
}

func newScribe(signers []signer) *scribe {
	s := &scribe{signers: signers, macs: make([]hash.Hash, len(signers))}
	for i := range signers {
		if signers[i].hmac != nil {
			s.macs[i] = hmac.New(sha256.New, signers[i].hmac)
		}
	}
	return s
}

// appendSignatures appends the value of webhook-signature: one entry per secret, separated by spaces. prefix is the id and the
// timestamp, each followed by a full stop.
func (s *scribe) appendSignatures(dst, prefix, body []byte) []byte {
	for i := range s.signers {
		if i > 0 {
			dst = append(dst, ' ')
		}
		if mac := s.macs[i]; mac != nil {
			mac.Reset()
			_, _ = mac.Write(prefix) // a hash never fails
			_, _ = mac.Write(body)
			s.sum = mac.Sum(s.sum[:0])
			dst = append(dst, "v1,"...)
		} else {
			s.signed = append(append(s.signed[:0], prefix...), body...)
			sum, err := s.signers[i].key.Sign(nil, s.signed, crypto.Hash(0))
			if err != nil {
				panic(err) // only for options that are not used here
			}
			s.sum = append(s.sum[:0], sum...)
			dst = append(dst, "v1a,"...)
		}
		dst = base64.StdEncoding.AppendEncode(dst, s.sum)
	}
	return dst
}
