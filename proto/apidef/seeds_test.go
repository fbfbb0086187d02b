package apidef_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// TestDecode_Seeds reads the definitions that users already know from the documentation. Their hashes keep them as
// they are printed there; their warnings are in the golden files beside them.
func TestDecode_Seeds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, sum string
		dialect         apidef.Dialect
		typ             apidef.Type
	}{
		{"data ingestion", "testdata/seeds/data-ingestion.json", "3865cb68850608acde6163e4ee163ca19e8248be52ad281c4a7377f0a9f8587d", apidef.Gateway, apidef.TypeMessage},
		{"proxy", "testdata/seeds/proxy.yaml", "d2c35e18cfc74e6178168d08e48d3a970bb6cd61fcb9395276e0e1bc18012a0b", apidef.CRD, apidef.TypeProxy},
		{"message", "testdata/seeds/message.yaml", "400205f2f73dc81dcdb7425f414a0a1cb9326283c75f8315c2662440661d5057", apidef.CRD, apidef.TypeMessage},
		{"native", "testdata/seeds/native.yaml", "b382c098dc96f748bceec80f44e75564fb35533008018c5a71d689352634f7fa", apidef.CRD, apidef.TypeNative},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := readFile(t, tt.file)
			if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != tt.sum {
				t.Errorf("%s is not as printed: %x", tt.file, sum)
			}
			doc, err := apidef.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if errs := doc.Validate(fakes()).Errors(); len(errs) > 0 {
				t.Errorf("errors:\n%v", errs)
			}
			if doc.Dialect != tt.dialect || doc.API.Type != tt.typ {
				t.Errorf("read as %s %s", doc.Dialect, doc.API.Type)
			}
		})
	}
}
