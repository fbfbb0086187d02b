package policies

import (
	"testing"

	"github.com/sluice-gateway/sluice/test/wasmasm"
)

// Not in a file with wasm in its name, which Go would build for that machine alone.
func init() { register("wasm", modules) }

// modules are WebAssembly modules in base64, assembled here.
func modules(*testing.T) map[string]string {
	return map[string]string{
		"upper": wasmasm.Base64(wasmasm.Upper()),
		"drop":  wasmasm.Base64(wasmasm.Returns(1, "", "")),
		"fail":  wasmasm.Base64(wasmasm.Returns(2, "KEY", "why")),
		"other": wasmasm.Base64(wasmasm.Returns(3, "", "")),
	}
}
