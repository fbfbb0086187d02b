package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Digest is a set hash: the sum, in four lanes modulo 2^64, of the SHA-256 of each member. The order of members does
// not matter, and adding or removing one costs O(1) whatever the size of the set. It tells states apart that loss,
// duplication or a defect made different; it does not by itself resist one who chooses definitions so that their
// hashes add up, so it is only believed inside a signed message. A sum, not an exclusive or, so that a member
// counted twice does not vanish.
type Digest [sha256.Size]byte

// DigestSize is the length of a Digest on the wire, in bytes.
const DigestSize = sha256.Size

// HashDefinition is the digest of a definition's bytes.
func HashDefinition(definition []byte) Digest { return sha256.Sum256(definition) }

// HashEntry is the hash of one member of a stream: its id, revision and definition digest, the id behind its length
// so that two members never read the same.
func HashEntry(apiID string, revision uint64, definition Digest) Digest {
	buf := make([]byte, 0, 4+len(apiID)+8+DigestSize)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(apiID))) //nolint:gosec // an id is at most MaxIDBytes
	buf = append(buf, apiID...)
	buf = binary.BigEndian.AppendUint64(buf, revision)
	buf = append(buf, definition[:]...)
	return sha256.Sum256(buf)
}

// Add gives the digest of the set with h in it once more.
func (d Digest) Add(h Digest) Digest {
	for i := 0; i < DigestSize; i += 8 {
		binary.LittleEndian.PutUint64(d[i:], binary.LittleEndian.Uint64(d[i:])+binary.LittleEndian.Uint64(h[i:]))
	}
	return d
}

// Sub gives the digest of the set with h in it once less.
func (d Digest) Sub(h Digest) Digest {
	for i := 0; i < DigestSize; i += 8 {
		binary.LittleEndian.PutUint64(d[i:], binary.LittleEndian.Uint64(d[i:])-binary.LittleEndian.Uint64(h[i:]))
	}
	return d
}

// String is the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// DigestOf reads a digest from the wire; b has DigestSize bytes, as the decoders check, or is empty.
func DigestOf(b []byte) (d Digest) {
	copy(d[:], b)
	return d
}
