package claimcheck

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// reference is the content of a message whose own is in the store.
type reference struct {
	Version int    `json:"v"`
	SHA256  string `json:"sha256"` // hexadecimal, small letters
	Size    int    `json:"size"`
}

// maxReference bounds references, in bytes.
const maxReference = 1024

var (
	errMissing = errors.New("there is no such object")
	errSize    = errors.New("the object has another size than the reference says")
)

func referenceTo(content []byte) reference {
	sum := sha256.Sum256(content)
	return reference{Version: 1, SHA256: hex.EncodeToString(sum[:]), Size: len(content)}
}

// Name is that of the object, which is in a folder by its first letters: directories of a million files are slow.
func (r reference) Name() string { return r.SHA256[:2] + "/" + r.SHA256 }

// readReference reads a reference. Its digest becomes a name of a file, so it must be one.
func readReference(content []byte) (reference, error) {
	var r reference
	if len(content) > maxReference {
		return r, errors.New("the reference is too long")
	}
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, fmt.Errorf("the reference is not JSON: %w", err)
	}
	sum, err := hex.DecodeString(r.SHA256)
	if err != nil || len(sum) != sha256.Size || hex.EncodeToString(sum) != r.SHA256 || r.Version != 1 || r.Size < 0 {
		return r, errors.New("the reference is not of this version, or damaged")
	}
	return r, nil
}

func (r reference) verify(content []byte) error {
	if referenceTo(content) != r {
		return errors.New("the object's digest is not that of the reference")
	}
	return nil
}

// apiFolder is where an API's objects are: its id may hold anything.
func apiFolder(id string) string {
	sum := sha256.Sum256([]byte(id))
	const enough = 8 // bytes: two of a million APIs are alike with a chance of 1 to 10^7
	return hex.EncodeToString(sum[:enough]) + "/"
}
