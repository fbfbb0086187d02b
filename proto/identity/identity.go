// Package identity derives identifiers from names, so that whoever applies the same manifest, wherever and how often,
// means the same API. It is pure; it generates nothing random.
package identity

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 prescribes SHA-1 for version 5; nothing here is a secret or a signature
	"encoding/hex"
	"strings"
)

// space is the name space of the identifiers derived here: the version 5 UUID of "sluice-gateway.github.io" in the DNS
// name space of RFC 9562. It never changes; every identifier derived from it would.
var space = v5([16]byte{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}, "sluice-gateway.github.io")

// Of derives a UUID from names: version 5 (SHA-1) over the names, which are set apart by a zero byte so that no two
// lists of names meet.
//
// Gravitee's operator takes 128 bits of XXH3 instead (spec 9.6). The result is private to the installation that made
// it, so there is nothing to agree with, and a version 5 UUID is one that every language can recompute.
func Of(names ...string) string { return text(v5(space, strings.Join(names, "\x00"))) }

// Manifest is the crossId of the API in the Kubernetes manifest of this namespace and name. A manifest without a
// namespace is in "default", as kubectl has it.
func Manifest(namespace, name string) string {
	if namespace == "" {
		namespace = "default"
	}
	return Of(namespace + "/" + name)
}

func v5(space [16]byte, name string) [16]byte {
	sum := sha1.Sum(append(space[:], name...)) //nolint:gosec // see the import
	var id [16]byte
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}

func text(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
