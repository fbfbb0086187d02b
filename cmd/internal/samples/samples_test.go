package samples_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/sluice-gateway/sluice/cmd/internal/samples"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

func TestAll_DecodeWithoutProblems(t *testing.T) {
	t.Parallel()
	for _, s := range samples.All {
		doc, err := apidef.Decode(s.Definition)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if ps := doc.Validate(apidef.Validation{}); len(ps) > 0 {
			t.Errorf("%s:\n%v", s.Name, ps)
		}
	}
}

// TestAll_FirstIsTheGuides keeps the sample the same as the one that users read.
func TestAll_FirstIsTheGuides(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../../../proto/apidef/testdata/seeds/data-ingestion.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, samples.All[0].Definition) {
		t.Error("the sample differs from the user guide's definition")
	}
}
