package connectors

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Codes of configuration problems. They never change meaning.
const (
	CodeInvalid = settings.CodeInvalid
	CodeUnknown = settings.CodeUnknown
)

// Decode reads a connector's configuration into the struct that into points to, which holds the defaults: settings.Decode.
func Decode(raw json.RawMessage, into any) apidef.Problems { return settings.Decode(raw, into) }

// Invalid makes the error that a configuration value is refused with; pointer is relative to the configuration.
func Invalid(pointer, text string) apidef.Problem { return settings.Invalid(pointer, text) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
