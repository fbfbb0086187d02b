package policies

import (
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

func init() { register("registry", startRegistry) }

// startRegistry serves a schema registry in Confluent's manner. Its schemas have the ids 1 and 2, Avro, of which the second refers to
// the first; 3 and 4, Protobuf, likewise; and 5, of JSON.
func startRegistry(t *testing.T) map[string]string {
	fake := srfake.New()
	t.Cleanup(fake.Close)
	client, err := sr.NewClient(sr.URLs(fake.URL()))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []struct {
		subject string
		schema  sr.Schema
	}{
		{"in", sr.Schema{Schema: `{"type":"record","name":"In","namespace":"x","fields":[{"name":"v","type":"int"}]}`}},
		{"out", sr.Schema{Schema: `{"type":"record","name":"Out","namespace":"x","fields":[{"name":"i","type":["null","x.In"]},{"name":"s","type":"string"}]}`,
			References: []sr.SchemaReference{{Name: "x.In", Subject: "in", Version: 1}}}},
		{"in-proto", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; package x; message In { int32 v = 1; }`}},
		{"out-proto", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; package x; import "in.proto";
message Out { In i = 1; string s = 2; }
message Second { message Inner { string text = 1; } }`, References: []sr.SchemaReference{{Name: "in.proto", Subject: "in-proto", Version: 1}}}},
		{"json", sr.Schema{Type: sr.TypeJSON, Schema: `{"type":"object"}`}},
	} {
		made, err := client.CreateSchema(t.Context(), s.subject, s.schema)
		if err != nil {
			t.Fatal(err)
		}
		if made.ID != i+1 {
			t.Fatalf("the schema of %s has the id %d", s.subject, made.ID)
		}
	}
	return map[string]string{"url": fake.URL()}
}
