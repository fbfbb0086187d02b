package avrodoc_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hamba/avro/v2"

	"github.com/sluice-gateway/sluice/policies/avrodoc"
	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/policies/resource"
)

const order = `{"type":"record","name":"Order","namespace":"x","fields":[
 {"name":"id","type":"long"},{"name":"n","type":"int","default":3},{"name":"ok","type":"boolean"},{"name":"f","type":"float"},{"name":"d","type":"double"},
 {"name":"b","type":"bytes"},{"name":"fx","type":{"type":"fixed","name":"Two","size":2}},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
 {"name":"l","type":{"type":"array","items":"string"}},{"name":"m","type":{"type":"map","values":"int"}},
 {"name":"u","type":["null","string","E",{"type":"record","name":"In","fields":[{"name":"v","type":"int"}]}],"default":null},
 {"name":"next","type":["null","Order"],"default":null},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`

const wrapped = `{"id":5000000000,"n":1,"ok":true,"f":0.1,"d":1.5,"b":"\u0000ÿa","fx":"ab","e":"B","l":["x","y"],"m":{"k":7},"u":{"x.In":{"v":9}},"next":{"x.Order":` +
	`{"id":1,"n":2,"ok":false,"f":0.0,"d":0.0,"b":"","fx":"\u0001\u0002","e":"A","l":[],"m":{},"u":{"string":"s"},"next":null,"at":0}},"at":1700000000000}`

const plain = `{"id":5000000000,"n":1,"ok":true,"f":0.1,"d":1.5,"b":"\u0000ÿa","fx":"ab","e":"B","l":["x","y"],"m":{"k":7},"u":{"v":9},"next":` +
	`{"id":1,"n":2,"ok":false,"f":0.0,"d":0.0,"b":"","fx":"\u0001\u0002","e":"A","l":[],"m":{},"u":"s","next":null,"at":0},"at":1700000000000}`

func parse(t testing.TB, text string) any {
	t.Helper()
	doc, err := jsondoc.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func schema(t testing.TB, text string) avro.Schema {
	t.Helper()
	s, err := avrodoc.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRoundTrip: both forms make the same bytes, which hamba/avro reads as well, and come back as they were.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := schema(t, order)
	var first []byte
	for _, c := range []struct {
		text string
		form avrodoc.Form
	}{{wrapped, avrodoc.Form{Wrapped: true}}, {plain, avrodoc.Form{}}} {
		data, err := avrodoc.Append(nil, s, parse(t, c.text), c.form)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = data
		}
		if !bytes.Equal(data, first) {
			t.Errorf("%x, want %x", data, first)
		}
		doc, err := avrodoc.Read(s, data, c.form)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := jsondoc.Append(nil, doc); err != nil || string(got) != c.text {
			t.Errorf("got  %s, %v\nwant %s", got, err, c.text)
		}
	}
	var other map[string]any
	if err := avro.Unmarshal(s, first, &other); err != nil || other["id"] != int64(5000000000) || other["e"] != "B" || len(other) != 13 {
		t.Errorf("%v, %v", other, err)
	}
}

// TestRead_OfAnother reads what hamba/avro itself writes.
func TestRead_OfAnother(t *testing.T) {
	t.Parallel()
	s := schema(t, `{"type":"record","name":"R","fields":[{"name":"a","type":["null","long"]},{"name":"l","type":{"type":"array","items":"double"}},{"name":"m","type":{"type":"map","values":"bytes"}}]}`)
	data, err := avro.Marshal(s, map[string]any{"a": int64(7), "l": []float64{1, 2.5}, "m": map[string][]byte{"k": {1, 255}}})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := avrodoc.Read(s, data, avrodoc.Form{Wrapped: true, Base64: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := jsondoc.Append(nil, doc); err != nil || string(got) != `{"a":{"long":7},"l":[1.0,2.5],"m":{"k":"Af8="}}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestAppend_DefaultsAndErrors(t *testing.T) {
	t.Parallel()
	const text = `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":["string","null"],"default":"x"},{"name":"c","type":{"type":"array","items":"int"},"default":[1,2]}]}`
	s := schema(t, text)
	data, err := avrodoc.Append(nil, s, parse(t, `{"a":1}`), avrodoc.Form{Wrapped: true})
	if err != nil || !bytes.Equal(data, []byte{2, 0, 2, 'x', 4, 2, 4, 0}) {
		t.Errorf("%v, %v", data, err)
	}
	for in, want := range map[string]string{
		`{}`:                          "the field a of R is missing, and has no default",
		`{"a":"1"}`:                   "a: a text does not fit the type int",
		`{"a":3000000000}`:            "a: this number does not fit the type int",
		`{"a":1.5}`:                   "a: this number does not fit the type int",
		`{"a":1,"z":2}`:               `R has no field "z"`,
		`[]`:                          "an array does not fit the type R",
		`{"a":1,"b":"x"}`:             `b: a value of a union is null, or an object with the name of its type: {"string": "x"}`,
		`{"a":1,"b":{"int":1}}`:       `b: a union has no branch "int"`,
		`{"a":1,"c":[1,"x"]}`:         "c: 1: a text does not fit the type int",
		`{"a":1,"b":{"string":null}}`: "b: null does not fit the type string",
	} {
		if data, err := avrodoc.Append(nil, s, parse(t, in), avrodoc.Form{Wrapped: true}); err == nil || err.Error() != want {
			t.Errorf("%s: %x, %v; want %s", in, data, err, want)
		}
	}
	if _, err := avrodoc.Append(nil, s, parse(t, `{"a":1,"z":2,"b":null}`), avrodoc.Form{Lenient: true}); err != nil {
		t.Error(err)
	}
}

func TestRead_Errors(t *testing.T) {
	t.Parallel()
	s := schema(t, `{"type":"array","items":["null","string"]}`)
	for _, data := range [][]byte{{}, {2}, {2, 4, 2, 'x', 0}, {2, 2, 20, 'x', 0}, {0, 0}, {1, 0}} {
		if doc, err := avrodoc.Read(s, data, avrodoc.Form{}); err == nil {
			t.Errorf("%x: %v", data, doc)
		}
	}
	// A block of nulls has no bytes: its length alone would make a document.
	if _, err := avrodoc.Read(schema(t, `{"type":"array","items":"null"}`), []byte{0xfe, 0xff, 0xff, 0xff, 0x0f, 0}, avrodoc.Form{}); !errors.Is(err, jsondoc.ErrLimit) {
		t.Error(err)
	}
	deep := schema(t, `{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}`)
	if _, err := avrodoc.Read(deep, append(bytes.Repeat([]byte{2}, 1000), 0), avrodoc.Form{}); !errors.Is(err, jsondoc.ErrLimit) {
		t.Error(err)
	}
}

func TestParse_References(t *testing.T) {
	t.Parallel()
	refs := []resource.Reference{{Name: "x.In", Schema: resource.Schema{Text: `{"type":"record","name":"In","namespace":"x","fields":[{"name":"v","type":"int"}]}`}}}
	s, err := avrodoc.Parse(`{"type":"record","name":"Out","namespace":"x","fields":[{"name":"i","type":"x.In"}]}`, refs...)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := avrodoc.Read(s, []byte{14}, avrodoc.Form{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := jsondoc.Append(nil, doc); err != nil || string(got) != `{"i":{"v":7}}` {
		t.Errorf("%s, %v", got, err)
	}
}

// FuzzRead: no bytes end otherwise than with a document or an error, and a document is written as bytes that read the same.
func FuzzRead(f *testing.F) {
	s := schema(f, order)
	data, err := avrodoc.Append(nil, s, parse(f, wrapped), avrodoc.Form{Wrapped: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		form := avrodoc.Form{Wrapped: true}
		doc, err := avrodoc.Read(s, data, form)
		if err != nil {
			return
		}
		if _, err := avrodoc.Append(nil, s, doc, form); err != nil {
			t.Fatal(err)
		}
	})
}
