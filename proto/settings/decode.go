// Package settings decodes the configurations that definitions hold for connectors and policies into their structs, and says
// everything that is wrong with one at once. It does no I/O and starts no goroutine.
package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Codes of configuration problems. They never change meaning.
const (
	CodeInvalid = "data.invalid" // spec 8.2: a configuration is refused
	CodeUnknown = "data.unknown" // a field that nobody of this type reads
)

// Decode reads a configuration into the struct that into points to, which holds the defaults. It finds every
// problem at once: a value of the wrong type is an error, an unknown field a warning, both with a JSON pointer relative to
// raw. Absent, null and empty raw leave the defaults. Numbers and booleans given as text are taken, as users write both.
func Decode(raw json.RawMessage, into any) apidef.Problems {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return apidef.Problems{Invalid("", "is not valid JSON: "+err.Error())}
	}
	d := decoder{}
	d.value("", tree, reflect.ValueOf(into).Elem())
	return d.problems
}

// Invalid makes the error that a configuration value is refused with; pointer is relative to the configuration.
func Invalid(pointer, text string) apidef.Problem {
	return apidef.Problem{Pointer: pointer, Message: text, Code: CodeInvalid, Severity: apidef.Error}
}

type decoder struct{ problems apidef.Problems }

var rawType = reflect.TypeFor[json.RawMessage]()

// value stores v, found at pointer, in dst. A null keeps the default.
func (d *decoder) value(pointer string, v any, dst reflect.Value) {
	if v == nil {
		return
	}
	if dst.Type() == rawType {
		raw, _ := json.Marshal(v) // came from JSON, so it can go back
		dst.Set(reflect.ValueOf(json.RawMessage(raw)))
		return
	}
	switch dst.Kind() {
	case reflect.Pointer:
		p := reflect.New(dst.Type().Elem())
		d.value(pointer, v, p.Elem())
		dst.Set(p)
	case reflect.Struct:
		d.object(pointer, v, dst)
	case reflect.Slice:
		d.list(pointer, v, dst)
	case reflect.Map:
		d.dictionary(pointer, v, dst)
	default:
		if want, ok := scalar(v, dst); !ok {
			d.problems = append(d.problems, Invalid(pointer, fmt.Sprintf("must be %s, not %s", want, kindOf(v))))
		}
	}
}

func (d *decoder) object(pointer string, v any, dst reflect.Value) {
	members, ok := v.(map[string]any)
	if !ok {
		d.problems = append(d.problems, Invalid(pointer, "must be an object, not "+kindOf(v)))
		return
	}
	fields := fieldsOf(dst)
	for _, name := range sortedKeys(members) {
		at := pointer + "/" + escape(name)
		f, ok := fields[name]
		if !ok {
			d.problems = append(d.problems, apidef.Problem{Pointer: at, Code: CodeUnknown, Severity: apidef.Warning,
				Message: "is unknown and has no effect; known are " + strings.Join(sortedKeys(fields), ", ")})
			continue
		}
		d.value(at, members[name], f)
	}
}

func (d *decoder) list(pointer string, v any, dst reflect.Value) {
	items, ok := v.([]any)
	if !ok {
		d.problems = append(d.problems, Invalid(pointer, "must be a list, not "+kindOf(v)))
		return
	}
	out := reflect.MakeSlice(dst.Type(), len(items), len(items))
	for i, item := range items {
		d.value(pointer+"/"+strconv.Itoa(i), item, out.Index(i))
	}
	dst.Set(out)
}

func (d *decoder) dictionary(pointer string, v any, dst reflect.Value) {
	members, ok := v.(map[string]any)
	if !ok {
		d.problems = append(d.problems, Invalid(pointer, "must be an object, not "+kindOf(v)))
		return
	}
	out := reflect.MakeMap(dst.Type())
	for _, name := range sortedKeys(members) {
		item := reflect.New(dst.Type().Elem()).Elem()
		d.value(pointer+"/"+escape(name), members[name], item)
		out.SetMapIndex(reflect.ValueOf(name), item)
	}
	dst.Set(out)
}

// scalar stores v in dst, converting between text and number or boolean, and says what dst wants.
func scalar(v any, dst reflect.Value) (want string, ok bool) {
	text, isText := v.(string)
	if n, isNumber := v.(json.Number); isNumber {
		text = n.String()
	} else if b, isBool := v.(bool); isBool {
		text = strconv.FormatBool(b)
	} else if !isText {
		text, isText = "", false
	}
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(text)
		return "text", isText || text != ""
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		dst.SetBool(b)
		return "true or false", err == nil
	case reflect.Int, reflect.Int64, reflect.Int32:
		n, err := strconv.ParseInt(text, 10, dst.Type().Bits())
		dst.SetInt(n)
		return "a whole number", err == nil
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		dst.SetFloat(n)
		return "a number", err == nil
	}
	return "a supported type", false
}

// fieldsOf maps the JSON names of a struct to its fields, embedded structs included.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			for name, inner := range fieldsOf(v.Field(i)) {
				out[name] = inner
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && f.IsExported() {
			out[name] = v.Field(i)
		}
	}
	return out
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "null"
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// escape writes a member name as a JSON pointer token (RFC 6901 section 3).
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
