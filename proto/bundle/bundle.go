// Package bundle is what a worker is sent for one API: its deployed definition and where it belongs. To the push in between
// it is opaque bytes; the signature and the digest are over exactly these.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// version of the encoding. A worker refuses a later one: it would not know what it leaves out.
const version = 1

// Errors of Decode.
var (
	// ErrVersion is returned for a bundle of a later version.
	ErrVersion = errors.New("bundle is of a later version than this worker reads: upgrade the worker")
	// ErrEmpty is returned for a bundle without a definition.
	ErrEmpty = errors.New("bundle holds no definition")
)

// Bundle is one API as it was deployed.
type Bundle struct {
	Organization string
	Environment  string
	DeployedAt   time.Time   // of the leader's clock, in whole milliseconds
	API          *apidef.API // normal form, its plans included
}

type encoded struct {
	V            int         `json:"v"`
	Organization string      `json:"organization"`
	Environment  string      `json:"environment"`
	DeployedAtMS int64       `json:"deployedAt"` // Unix milliseconds
	API          *apidef.API `json:"api"`
}

// Encode writes b; equal bundles give equal bytes.
func Encode(b Bundle) ([]byte, error) {
	out, err := json.Marshal(encoded{version, b.Organization, b.Environment, b.DeployedAt.UnixMilli(), b.API})
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return out, nil
}

// Decode reads what Encode wrote.
func Decode(data []byte) (Bundle, error) {
	var e encoded
	if err := json.Unmarshal(data, &e); err != nil {
		return Bundle{}, fmt.Errorf("decode bundle: %w", err)
	}
	switch {
	case e.V > version:
		return Bundle{}, fmt.Errorf("decode bundle: %w", ErrVersion)
	case e.API == nil:
		return Bundle{}, fmt.Errorf("decode bundle: %w", ErrEmpty)
	}
	return Bundle{e.Organization, e.Environment, time.UnixMilli(e.DeployedAtMS).UTC(), e.API}, nil
}
