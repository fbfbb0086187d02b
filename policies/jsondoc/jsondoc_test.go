package jsondoc_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

func TestParse_KeepsOrderAndNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"order", `{"b":1, "a":[true,null , "x"] }`, `{"b":1,"a":[true,null,"x"]}`},
		{"last of two", `{"b":1,"a":2,"b":3}`, `{"b":3,"a":2}`},
		{"integers", `[2147483648, -5, 12345678901234567890]`, `[2147483648,-5,12345678901234567890]`},
		{"fractions", `[1.0, 1e2, 12345678.5, 1.00000000000000000001]`, `[1.0,100.0,1.23456785E7,1.00000000000000000001]`},
		{"escapes", `"a\u00e9\n\"\u0001\ud83d\ude00"`, `"aé\n\"\u0001😀"`},
		{"no UTF-8", "\"a\xff\"", `"a�"`},
		{"empty", ` { } `, `{}`},
		{"many members", `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10,"k":11,"l":12,"m":13,"n":14,"a":0}`,
			`{"a":0,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10,"k":11,"l":12,"m":13,"n":14}`},
	} {
		v, err := jsondoc.Parse([]byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, err := jsondoc.Append(nil, v)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestParse_Limits(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("[", 200) + strings.Repeat("]", 200), "[" + strings.Repeat("1,", 1_000_000) + "1]",
		`"` + strings.Repeat("x", jsondoc.MaxSize) + `"`} {
		if _, err := jsondoc.Parse([]byte(text)); !errors.Is(err, jsondoc.ErrLimit) {
			t.Errorf("%.20s...: %v", text, err)
		}
	}
	for _, text := range []string{"", "{", "[1,]", "nul", `{"a":1}}`, "01", "'a'"} {
		if v, err := jsondoc.Parse([]byte(text)); err == nil {
			t.Errorf("%s: %v", text, v)
		}
	}
}

func TestAppend_WhatHoldsItself(t *testing.T) {
	t.Parallel()
	a := jsondoc.NewArray()
	a.Items = append(a.Items, a)
	if _, err := jsondoc.Append(nil, a); !errors.Is(err, jsondoc.ErrLimit) {
		t.Error(err)
	}
	wide := jsondoc.NewArray("0123456789")
	for range 100 {
		wide = jsondoc.NewArray(wide, wide)
	}
	if _, err := jsondoc.Append(nil, wide); !errors.Is(err, jsondoc.ErrLimit) {
		t.Error(err)
	}
}

func TestFormatDouble(t *testing.T) {
	t.Parallel()
	for f, want := range map[float64]string{0: "0.0", 1: "1.0", 1e7: "1.0E7", 9999999: "9999999.0", 0.001: "0.001", 0.0001: "1.0E-4",
		-1.5e300: "-1.5E300", math.Inf(1): `"Infinity"`, math.Inf(-1): `"-Infinity"`} {
		if got := jsondoc.FormatDouble(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

func TestObject_Delete(t *testing.T) {
	t.Parallel()
	var o jsondoc.Object
	for _, name := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		o.Set(name, name)
	}
	o.Delete("b")
	o.Delete("none")
	o.DeleteFunc(func(m jsondoc.Member) bool { return m.Name > "c" && m.Name != "z" })
	if got := strings.Join(o.Names(), ""); got != "acz" {
		t.Error(got)
	}
	if v, ok := o.Get("z"); !ok || v != "z" {
		t.Error(v, ok)
	}
}

// FuzzParse: what is read and written again is the same JSON.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x\u0000"]}`, `-0`, `1E+5`, `[[],{}]`, `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := jsondoc.Parse(text)
		if err != nil {
			if json.Valid(text) && !errors.Is(err, jsondoc.ErrLimit) {
				t.Fatal(err)
			}
			return
		}
		out, err := jsondoc.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(text, &a); err != nil {
			return // a number out of range
		}
		if err := json.Unmarshal(out, &b); err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%s became %s (%v)", text, out, err)
		}
	})
}
