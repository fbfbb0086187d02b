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
	V            int             `json:"v"`
	Organization string          `json:"organization"`
	Environment  string          `json:"environment"`
	DeployedAtMS int64           `json:"deployedAt"` // Unix milliseconds
	API          json.RawMessage `json:"api"`
}

// Encode writes a bundle around definition, the API's normal form as JSON; equal arguments give equal bytes.
func Encode(organization, environment string, deployedAt time.Time, definition []byte) ([]byte, error) {
	out, err := json.Marshal(encoded{version, organization, environment, deployedAt.UnixMilli(), definition})
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
	case len(e.API) == 0 || string(e.API) == "null":
		return Bundle{}, fmt.Errorf("decode bundle: %w", ErrEmpty)
	}
	api := new(apidef.API)
	if err := json.Unmarshal(e.API, api); err != nil {
		return Bundle{}, fmt.Errorf("decode bundle: %w", err)
	}
	return Bundle{e.Organization, e.Environment, time.UnixMilli(e.DeployedAtMS).UTC(), api}, nil
}
