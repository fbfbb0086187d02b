// Package sealed keeps values of API properties secret between the control plane, which seals them when they are saved, and the
// workers, which open them: AES-256-GCM with a key that both have and that is in no definition. It does no I/O.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Errors of this package.
var (
	// ErrKey is returned for a text that is too short to be a key.
	ErrKey = errors.New("the key of properties must be at least 32 characters without blanks")
	// ErrSealed is returned for a value that was not sealed, or with another key, or for another property.
	ErrSealed = errors.New("the value was not encrypted with this key for this property")
)

// minKey is the least length of a key's text, in characters.
const minKey = 32

// version begins what is sealed.
const version = "v1:"

// Key seals and opens. Its methods may be called from any goroutine.
type Key struct {
	aead  cipher.AEAD
	nonce []byte // key of the nonces
}

// NewKey makes a key of a text, such as 32 random bytes in base64.
func NewKey(text string) (*Key, error) {
	if len(text) < minKey || strings.ContainsAny(text, " \t\r\n") {
		return nil, ErrKey
	}
	secret, err := hkdf.Key(sha256.New, []byte(text), nil, "sluice properties", 2*sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive key of properties: %w", err)
	}
	block, err := aes.NewCipher(secret[:sha256.Size])
	if err != nil {
		return nil, fmt.Errorf("key of properties: %w", err)
	}
	k := &Key{nonce: secret[sha256.Size:]}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("key of properties: %w", err)
	}
	return k, nil
}

// Seal encrypts the value of the property name. Equal arguments give equal texts, so that saving a definition again changes nothing:
// the nonce is a keyed hash of both, so that no two values share one.
func (k *Key) Seal(name, value string) string {
	mac := hmac.New(sha256.New, k.nonce)
	fmt.Fprintf(mac, "%d:%s%s", len(name), name, value)
	nonce := mac.Sum(nil)[:k.aead.NonceSize()]
	return version + base64.StdEncoding.EncodeToString(k.aead.Seal(nonce, nonce, []byte(value), []byte(name)))
}

// Open is the value that Seal was given with this name.
func (k *Key) Open(name, text string) (string, error) {
	rest, ok := strings.CutPrefix(text, version)
	if !ok {
		return "", ErrSealed
	}
	data, err := base64.StdEncoding.DecodeString(rest)
	if err != nil || len(data) < k.aead.NonceSize() {
		return "", ErrSealed
	}
	value, err := k.aead.Open(nil, data[:k.aead.NonceSize()], data[k.aead.NonceSize():], []byte(name))
	if err != nil {
		return "", ErrSealed
	}
	return string(value), nil
}
