package apidef_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// FuzzDecode: no text makes reading or validating panic, and a valid definition stays the same when it is written
// and read again, in whichever dialect.
func FuzzDecode(f *testing.F) {
	for _, file := range cases(f, "testdata", "testdata/seeds") {
		f.Add(readFile(f, file))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, _ := apidef.DecodeAll(data)
		for _, doc := range docs {
			doc.Validate(fakes())
		}
		doc, err := apidef.Decode(data)
		if err != nil || doc.Validate(apidef.Validation{}).Err() != nil {
			return
		}
		for _, e := range encoders {
			checkFixedPoint(t, doc, e)
		}
	})
}

func checkFixedPoint(t *testing.T, doc *apidef.Document, e encoder) {
	text, err := e.encode(doc.API, doc.Dialect)
	if err != nil {
		t.Fatal(err)
	}
	again, err := apidef.Decode(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(doc.API, again.API); diff != "" {
		t.Fatalf("%s (-first +second):\n%s\n%s", e.name, diff, text)
	}
}
