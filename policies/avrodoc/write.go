package avrodoc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/hamba/avro/v2"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// Append writes a document in Avro's binary form. A field that is missing gets its default; without one it is an error.
func Append(dst []byte, s avro.Schema, doc any, form Form) ([]byte, error) {
	w := writer{Writer: avro.NewWriter(io.Discard, 512, avro.WithWriterConfig(config)), form: form}
	if err := w.value(s, doc, 0); err != nil {
		return dst, err
	}
	return append(dst, w.Buffer()...), nil
}

type writer struct {
	*avro.Writer
	form  Form
	count int
}

func wrong(s avro.Schema, v any) error {
	return fmt.Errorf("%s does not fit the type %s", kindOf(v), nameOf(s))
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a text"
	case *jsondoc.Object:
		return "an object"
	case *jsondoc.Array:
		return "an array"
	}
	return "this number"
}

func (w *writer) value(s avro.Schema, v any, depth int) error {
	if w.count++; w.count > maxValues {
		return errMany
	}
	if depth > jsondoc.MaxDepth {
		return errDeep
	}
	s = follow(s)
	switch x := s.(type) {
	case *avro.RecordSchema:
		return w.record(x, v, depth)
	case *avro.ArraySchema:
		return w.array(x, v, depth)
	case *avro.MapSchema:
		return w.dictionary(x, v, depth)
	case *avro.UnionSchema:
		return w.union(x, v, depth)
	case *avro.EnumSchema:
		text, ok := v.(string)
		i := slices.Index(x.Symbols(), text)
		if !ok || i < 0 {
			return wrong(s, v)
		}
		w.WriteInt(int32(i))
		return nil
	case *avro.FixedSchema:
		b, err := w.bytes(s, v)
		if err != nil || len(b) != x.Size() {
			return errors.Join(err, wrong(s, v))
		}
		_, err = w.Write(b)
		return err
	}
	return w.primitive(s, v)
}

func (w *writer) primitive(s avro.Schema, v any) error {
	switch s.Type() {
	case avro.Null:
		if v == nil {
			return nil
		}
	case avro.Boolean:
		if b, ok := v.(bool); ok {
			w.WriteBool(b)
			return nil
		}
	case avro.Int:
		if n, ok := whole(v); ok && n == int64(int32(n)) {
			w.WriteInt(int32(n))
			return nil
		}
	case avro.Long:
		if n, ok := whole(v); ok {
			w.WriteLong(n)
			return nil
		}
	case avro.Float:
		if f, ok := double(v); ok {
			w.WriteFloat(float32(f))
			return nil
		}
	case avro.Double:
		if f, ok := double(v); ok {
			w.WriteDouble(f)
			return nil
		}
	case avro.String:
		if text, ok := v.(string); ok {
			w.WriteString(text)
			return nil
		}
	case avro.Bytes:
		b, err := w.bytes(s, v)
		if err == nil {
			w.WriteBytes(b)
		}
		return err
	}
	return wrong(s, v)
}

func whole(v any) (int64, bool) {
	switch n := v.(type) {
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case float64:
		return int64(n), n == math.Trunc(n) && math.Abs(n) < 1<<53
	}
	return 0, false
}

func double(v any) (float64, bool) {
	switch n := v.(type) {
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	case jsondoc.Number:
		f, err := strconv.ParseFloat(string(n), 64)
		return f, err == nil
	case string:
		switch n {
		case "NaN":
			return math.NaN(), true
		case "Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
	}
	return 0, false
}

func (w *writer) bytes(s avro.Schema, v any) ([]byte, error) {
	text, ok := v.(string)
	if !ok {
		return nil, wrong(s, v)
	}
	if w.form.Base64 {
		return base64.StdEncoding.DecodeString(text)
	}
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, fmt.Errorf("the character %q is no byte", r)
		}
		out = append(out, byte(r))
	}
	return out, nil
}

func (w *writer) record(s *avro.RecordSchema, v any, depth int) error {
	o, ok := v.(*jsondoc.Object)
	if !ok {
		return wrong(s, v)
	}
	known := 0
	for _, f := range s.Fields() {
		member, ok := o.Get(f.Name())
		switch {
		case ok:
			known++
			if err := w.value(f.Type(), member, depth+1); err != nil {
				return fmt.Errorf("%s: %w", f.Name(), err)
			}
		case f.HasDefault():
			if err := w.missing(f, depth+1); err != nil {
				return fmt.Errorf("the default of %s: %w", f.Name(), err)
			}
		default:
			return fmt.Errorf("the field %s of %s is missing, and has no default", f.Name(), s.FullName())
		}
	}
	if known == o.Len() || w.form.Lenient {
		return nil
	}
	for _, name := range o.Names() {
		if !slices.ContainsFunc(s.Fields(), func(f *avro.Field) bool { return f.Name() == name }) {
			return fmt.Errorf("%s has no field %q", s.FullName(), name)
		}
	}
	return nil
}

// missing writes a field's default, which of a union is of its first branch.
func (w *writer) missing(f *avro.Field, depth int) error {
	v, err := fromDefault(f.Default(), depth)
	if err != nil {
		return err
	}
	form := w.form
	defer func() { w.form = form }()
	w.form.Wrapped, w.form.Base64 = false, false
	return w.value(f.Type(), v, depth)
}

// fromDefault is a default as the library keeps it.
func fromDefault(v any, depth int) (any, error) {
	if depth > jsondoc.MaxDepth {
		return nil, errDeep
	}
	switch x := v.(type) {
	case nil, bool, string, float64, int64:
		return x, nil
	case int:
		return int64(x), nil
	case int32:
		return int64(x), nil
	case float32:
		return shortest(x), nil
	case []byte:
		return (&reader{}).bytes(x), nil
	case []any:
		out := jsondoc.NewArray()
		for _, item := range x {
			made, err := fromDefault(item, depth+1)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, made)
		}
		return out, nil
	case map[string]any:
		out := new(jsondoc.Object)
		for name, item := range x {
			made, err := fromDefault(item, depth+1)
			if err != nil {
				return nil, err
			}
			out.Set(name, made)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a default of the type %T", v)
}

func (w *writer) array(s *avro.ArraySchema, v any, depth int) error {
	list, ok := v.(*jsondoc.Array)
	if !ok {
		return wrong(s, v)
	}
	if len(list.Items) > 0 {
		w.WriteLong(int64(len(list.Items)))
	}
	for i, item := range list.Items {
		if err := w.value(s.Items(), item, depth+1); err != nil {
			return fmt.Errorf("%d: %w", i, err)
		}
	}
	w.WriteLong(0)
	return nil
}

func (w *writer) dictionary(s *avro.MapSchema, v any, depth int) error {
	o, ok := v.(*jsondoc.Object)
	if !ok {
		return wrong(s, v)
	}
	if o.Len() > 0 {
		w.WriteLong(int64(o.Len()))
	}
	for i := range o.Len() {
		w.WriteString(o.At(i).Name)
		if err := w.value(s.Values(), o.At(i).Value, depth+1); err != nil {
			return fmt.Errorf("%s: %w", o.At(i).Name, err)
		}
	}
	w.WriteLong(0)
	return nil
}

func (w *writer) union(s *avro.UnionSchema, v any, depth int) error {
	if !w.form.Wrapped || v == nil {
		return w.branch(s, v, depth)
	}
	o, ok := v.(*jsondoc.Object)
	if !ok || o.Len() != 1 {
		return errors.New("a value of a union is null, or an object with the name of its type: {\"string\": \"x\"}")
	}
	for i, b := range s.Types() {
		if nameOf(b) == o.At(0).Name {
			w.WriteLong(int64(i))
			return w.value(b, o.At(0).Value, depth+1)
		}
	}
	return fmt.Errorf("a union has no branch %q", o.At(0).Name)
}

// branch writes a value as the first branch that it fits.
func (w *writer) branch(s *avro.UnionSchema, v any, depth int) error {
	var why []error
	for i, b := range s.Types() {
		trial := writer{Writer: avro.NewWriter(io.Discard, 64, avro.WithWriterConfig(config)), form: w.form, count: w.count}
		err := trial.value(b, v, depth+1)
		w.count = trial.count // what is tried counts, so that unions in unions stay bounded
		if err == nil {
			w.WriteLong(int64(i))
			_, err = w.Write(trial.Buffer())
			return err
		}
		if errors.Is(err, jsondoc.ErrLimit) {
			return err
		}
		why = append(why, err)
	}
	return fmt.Errorf("no branch of a union fits: %w", errors.Join(why...))
}
