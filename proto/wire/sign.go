package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Kind is what a signed payload is. It is under the signature, so that one kind cannot pass for another.
type Kind byte

// Kinds. They are signed: never renumber.
const (
	KindPush      Kind = 1
	KindHeartbeat Kind = 2
	KindAnswer    Kind = 3
	KindChunk     Kind = 4
)

// signContext opens everything that is signed, so that a signature made for another purpose with the same key is
// none here.
const signContext = "sluice.wire.v1"

// keyIDBytes is how much of the SHA-256 of a public key names it: enough to choose among the few that are trusted.
const keyIDBytes = 8

// Errors of signatures.
var (
	// ErrUnknownKey is returned for a message signed with a key that is not trusted.
	ErrUnknownKey = errors.New("signed with a key that is not trusted here")
	// ErrSignature is returned for a message whose signature does not fit: altered, or made for another cluster,
	// stream or kind.
	ErrSignature = errors.New("signature does not fit this message, cluster and stream")
	// ErrKey is returned for a key of the wrong length.
	ErrKey = errors.New("not an ed25519 key")
)

// Signer signs for one cluster. It is safe for use by several goroutines.
type Signer struct {
	cluster string
	keyID   []byte
	key     ed25519.PrivateKey
}

// NewSigner returns a signer for the cluster.
func NewSigner(cluster string, key ed25519.PrivateKey) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, ErrKey
	}
	public, _ := key.Public().(ed25519.PublicKey)
	return &Signer{cluster: cluster, keyID: keyID(public), key: key}, nil
}

// Seal encodes payload and signs it for the stream.
func (s *Signer) Seal(kind Kind, stream Stream, payload proto.Message) ([]byte, error) {
	b, err := proto.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	sig := ed25519.Sign(s.key, bound(kind, s.cluster, stream, b))
	out, err := proto.Marshal(&Signed{V: Version, KeyId: s.keyID, Payload: b, Signature: sig})
	if err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	return out, nil
}

// Verifier opens what a Signer of the same cluster sealed. It is safe for use by several goroutines.
type Verifier struct {
	cluster string
	keys    []ed25519.PublicKey
}

// NewVerifier returns a verifier that trusts the keys: more than one while a key is being replaced.
func NewVerifier(cluster string, keys ...ed25519.PublicKey) (*Verifier, error) {
	if len(keys) == 0 {
		return nil, ErrKey
	}
	for _, k := range keys {
		if len(k) != ed25519.PublicKeySize {
			return nil, ErrKey
		}
	}
	return &Verifier{cluster: cluster, keys: keys}, nil
}

// open returns the payload of data if a trusted key signed it for this kind, cluster and stream.
func (v *Verifier) open(kind Kind, stream Stream, data []byte) ([]byte, error) {
	var env Signed
	if err := unmarshal(data, MaxEnvelopeBytes, &env); err != nil {
		return nil, err
	}
	if err := checkVersion(env.GetV()); err != nil {
		return nil, err
	}
	for _, k := range v.keys {
		if !bytes.Equal(keyID(k), env.GetKeyId()) {
			continue
		}
		if len(env.GetSignature()) != ed25519.SignatureSize ||
			!ed25519.Verify(k, bound(kind, v.cluster, stream, env.GetPayload()), env.GetSignature()) {
			return nil, ErrSignature
		}
		return env.GetPayload(), nil
	}
	return nil, ErrUnknownKey
}

// bound is what is signed: context, kind, cluster, stream, payload, the names behind their lengths.
func bound(kind Kind, cluster string, stream Stream, payload []byte) []byte {
	b := make([]byte, 0, len(signContext)+1+8+len(cluster)+len(stream)+len(payload))
	b = append(b, signContext...)
	b = append(b, byte(kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(cluster))) //nolint:gosec // a cluster id is short
	b = append(b, cluster...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(stream))) //nolint:gosec // bounded by token
	b = append(b, stream...)
	return append(b, payload...)
}

func keyID(k ed25519.PublicKey) []byte {
	sum := sha256.Sum256(k)
	return sum[:keyIDBytes]
}
