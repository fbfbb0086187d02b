package jolt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/policies/jsontojson/jolt"
)

// testCase is an input, and what JOLT 0.1.8 itself made of it.
type testCase struct {
	Spec, Input, Want json.RawMessage
	Fails             bool
}

func cases(t testing.TB) []testCase {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []testCase
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func transform(spec, input []byte) ([]byte, error) {
	c, err := jolt.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	doc, err := jsondoc.Parse(input)
	if err != nil {
		return nil, err
	}
	v, err := c.Transform(doc)
	if err != nil {
		return nil, err
	}
	return jsondoc.Append(nil, v)
}

// TestTransform_AsJOLT: the outputs are those of the Java library, by value: it does not keep the order of members everywhere.
func TestTransform_AsJOLT(t *testing.T) {
	t.Parallel()
	all := cases(t)
	refused, failed := 0, 0
	for _, c := range all {
		got, err := transform(c.Spec, c.Input)
		if err != nil && !c.Fails && strings.HasPrefix(err.Error(), "spec:") {
			refused++ // what JOLT does nothing for is refused here
			if !isStrict(err) {
				t.Errorf("%s\nof %s is refused: %v", c.Spec, c.Input, err)
			}
			continue
		}
		if (err != nil) != c.Fails {
			failed++
			t.Errorf("%s\nof %s\ngot  %s, %v\nwant %s, fails %v", c.Spec, c.Input, got, err, c.Want, c.Fails)
			continue
		}
		if err == nil && !same(t, got, c.Want) {
			failed++
			t.Errorf("%s\nof %s\ngot  %s\nwant %s", c.Spec, c.Input, got, c.Want)
		}
	}
	if len(all) < 1000 || refused > 20 {
		t.Errorf("%d cases, of which %d are refused", len(all), refused)
	}
	t.Logf("%d cases, %d refused, %d failed", len(all), refused, failed)
}

// isStrict tells the refusals of what JOLT leaves unnoticed.
func isStrict(err error) bool {
	for _, s := range []string{"is not a function", "cannot stand in shift"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

func same(t *testing.T, got, want []byte) bool {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 {
		want = []byte("null")
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(a, b)
}

func TestTransform_KeepsOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, input, want string }{
		{`[{"operation":"shift","spec":{"b":"y","a":"x"}}]`, `{"a":1,"b":2}`, `{"y":2,"x":1}`},
		{`[{"operation":"sort"}]`, `{"b":1,"~z":2,"a":{"d":1,"c":2}}`, `{"~z":2,"a":{"c":2,"d":1},"b":1}`},
		{`[{"operation":"default","spec":{"c":3}}]`, `{"b":1,"a":2}`, `{"b":1,"a":2,"c":3}`},
		{`[{"operation":"shift","spec":{"a":"b"}}]`, `{"a":[12345678901234567890, 1.10, 1e400]}`, `{"b":[12345678901234567890,1.1,1e400]}`},
	} {
		if got, err := transform([]byte(c.spec), []byte(c.input)); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.spec, got, err, c.want)
		}
	}
}

// TestTransform_SpecsShareNothing: what one document does to a default is not seen by the next.
func TestTransform_SpecsShareNothing(t *testing.T) {
	t.Parallel()
	c, err := jolt.Parse([]byte(`[{"operation":"default","spec":{"l":[1]}},{"operation":"modify-overwrite-beta","spec":{"m":{},"l":{"[1]":2}}},{"operation":"default","spec":{"m":{"x":1}}}]`))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		v, err := c.Transform(new(jsondoc.Object))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := jsondoc.Append(nil, v); err != nil || string(got) != `{"l":[1,2],"m":{"x":1}}` {
			t.Errorf("%s, %v", got, err)
		}
	}
}

func TestTransform_Limits(t *testing.T) {
	t.Parallel()
	double := `{"operation":"shift","spec":{"a":["a[0]","a[1]"]}}`
	for _, c := range []struct{ spec, input string }{
		{`[{"operation":"shift","spec":{"a":"x[@(1,i)]"}}]`, `{"a":1,"i":2000000000}`},
		{"[" + strings.Repeat(double+",", 60) + double + "]", `{"a":[1]}`},
		{"[" + strings.Repeat(double+",", 60) + `{"operation":"sort"}]`, `{"a":[1]}`},
		{`[{"operation":"shift","spec":{"a":["x","x"]}},{"operation":"sort"}]`, `{"a":[1]}`},
		{"[" + strings.Repeat(`{"operation":"modify-overwrite-beta","spec":{"a":"=concat(@(1,a),@(1,a))"}},`, 40) + `{"operation":"sort"}]`, `{"a":"0123456789"}`},
	} {
		if out, err := transform([]byte(c.spec), []byte(c.input)); !errors.Is(err, jolt.ErrLimit) && !errors.Is(err, jsondoc.ErrLimit) {
			t.Errorf("%.100s: %.100s, %v", c.spec, out, err)
		}
	}
}

// FuzzTransform: no specification and no document ends otherwise than with an output or an error.
func FuzzTransform(f *testing.F) {
	for i, c := range cases(f) {
		if i%17 == 0 {
			f.Add([]byte(c.Spec), []byte(c.Input))
		}
	}
	f.Fuzz(func(_ *testing.T, spec, input []byte) {
		_, _ = transform(spec, input)
	})
}
