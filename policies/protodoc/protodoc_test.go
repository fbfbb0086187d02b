package protodoc_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/policies/protodoc"
	"github.com/sluice-gateway/sluice/policies/resource"
)

const text = `syntax = "proto3"; package x;
import "google/protobuf/any.proto";
import "google/protobuf/timestamp.proto";
message N { N n = 1; repeated int32 p = 2; repeated E e = 3; google.protobuf.Any any = 4; google.protobuf.Timestamp at = 5; repeated bool b = 6; double d = 7; repeated fixed32 f = 8; repeated double g = 9; }
message E {}`

func parse(t testing.TB, text string, refs ...resource.Reference) *protodoc.Schema {
	t.Helper()
	s, err := protodoc.Parse(text, refs...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var compact = protodoc.Form{Compact: true}

// TestRoundTrip: what is written reads the same.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := parse(t, text)
	const doc = `{"n":{"n":{}},"p":[1,-2],"e":[{},{}],"any":{"@type":"type.googleapis.com/x.N","p":[3]},"at":"2020-01-02T03:04:05Z","b":[true],"d":"NaN","f":[7],"g":[0.5]}`
	data, err := s.Append([]byte("front"), []byte(doc), protodoc.First)
	if err != nil || !bytes.HasPrefix(data, []byte("front")) {
		t.Fatal(data, err)
	}
	if got, err := s.JSON(data[5:], protodoc.First, compact); err != nil || string(got) != doc {
		t.Errorf("%s, %v", got, err)
	}
}

// TestJSON_Limits: messages whose bytes are few may have many values.
func TestJSON_Limits(t *testing.T) {
	t.Parallel()
	s := parse(t, text)
	deep := []byte{}
	for range 200 {
		deep = protowire.AppendBytes([]byte{1<<3 | 2}, deep)
	}
	inAny := protowire.AppendBytes(protowire.AppendString([]byte{1<<3 | 2}, "x/x.N"), nil)
	inAny = inAny[:len(inAny)-1]
	inAny = protowire.AppendBytes(append(inAny, 2<<3|2), protowire.AppendBytes([]byte{2<<3 | 2}, make([]byte, 1_000_001)))
	for name, data := range map[string][]byte{
		"depth":          deep,
		"packed":         protowire.AppendBytes([]byte{2<<3 | 2}, make([]byte, 1_000_001)),
		"fixed":          protowire.AppendBytes([]byte{8<<3 | 5 - 3}, make([]byte, 4*1_000_001)),
		"doubles":        protowire.AppendBytes([]byte{9<<3 | 2}, make([]byte, 8*1_000_001)),
		"empty messages": bytes.Repeat([]byte{3<<3 | 2, 0}, 1_000_001),
		"unknown fields": bytes.Repeat([]byte{15 << 3, 0}, 1_000_001),
		"within an Any":  protowire.AppendBytes([]byte{4<<3 | 2}, inAny),
		"size":           protowire.AppendBytes([]byte{15<<3 | 2}, make([]byte, jsondoc.MaxSize)),
	} {
		if out, err := s.JSON(data, protodoc.First, compact); !errors.Is(err, jsondoc.ErrLimit) {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
	// Each empty message has seven fields that are written as well.
	wide := parse(t, `syntax = "proto3"; message A { repeated B b = 1; } message B { int32 a=1; int32 b=2; int32 c=3; int32 d=4; int32 e=5; int32 f=6; int32 g=7; }`)
	many := bytes.Repeat([]byte{1<<3 | 2, 0}, 200_000)
	if _, err := wide.JSON(many, protodoc.First, compact); err != nil {
		t.Error(err)
	}
	if _, err := wide.JSON(many, protodoc.First, protodoc.Form{Defaults: true}); !errors.Is(err, jsondoc.ErrLimit) {
		t.Error(err)
	}
	long := parse(t, `syntax = "proto3"; message A { string s = 1; }`)
	if _, err := long.JSON(protowire.AppendBytes([]byte{10}, bytes.Repeat([]byte{1}, 4<<20)), protodoc.First, compact); !errors.Is(err, jsondoc.ErrLimit) {
		t.Error(err)
	}
}

func TestParse_Imports(t *testing.T) {
	t.Parallel()
	ref := resource.Reference{Name: "in.proto", Schema: resource.Schema{Text: `syntax = "proto3"; message In { int32 v = 1; }`}}
	const outer = `syntax = "proto3"; import "in.proto"; message Out { map<string, In> m = 1; message A {} message B { In i = 1; } }`
	s := parse(t, outer, ref)
	if got, err := s.JSON([]byte{10, 2, 8, 7}, []int{0, 1}, compact); err != nil || string(got) != `{"i":{"v":7}}` {
		t.Errorf("the entries of a map count as messages: %s, %v", got, err)
	}
	for name, refs := range map[string][]resource.Reference{"missing": nil, "itself": {{Name: "schema.proto"}}, "broken": {{Name: "in.proto", Schema: resource.Schema{Text: "x"}}}} {
		if _, err := protodoc.Parse(outer, refs...); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	id, index, rest, err := protodoc.Open(append(protodoc.Frame(70000), 'x'))
	if err != nil || id != 70000 || len(index) != 1 || index[0] != 0 || string(rest) != "x" {
		t.Error(id, index, rest, err)
	}
	for _, content := range []string{"", "\x00\x00", "\x01\x00\x00\x00\x01\x00", "\x00\x00\x00\x00\x01", "\x00\x00\x00\x00\x01\x7e" + strings.Repeat("\x00", 63),
		"\x00\x00\x00\x00\x01\x01", "\x00\x00\x00\x00\x01\x04\x00"} {
		if _, _, _, err := protodoc.Open([]byte(content)); err == nil {
			t.Errorf("%x is taken", content)
		}
	}
}

// FuzzJSON: no bytes end otherwise than with JSON that reads again, or an error.
func FuzzJSON(f *testing.F) {
	s := parse(f, text)
	data, err := s.Append(nil, []byte(`{"n":{"n":{}},"p":[1,-2],"e":[{}],"any":{"@type":"a/x.N","p":[3]},"at":"2020-01-02T03:04:05Z","b":[true],"d":1}`), protodoc.First)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := s.JSON(data, protodoc.First, compact)
		if err != nil {
			return
		}
		if _, err := s.Append(nil, out, protodoc.First); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	})
}
