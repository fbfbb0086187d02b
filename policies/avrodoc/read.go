package avrodoc

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"

	"github.com/hamba/avro/v2"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// Read returns the document that data is.
func Read(s avro.Schema, data []byte, form Form) (any, error) {
	// What is behind the reader's buffer tells whether all was read.
	in := bytes.NewReader(data)
	r := reader{Reader: avro.NewReader(in, 512, avro.WithReaderConfig(config)), form: form}
	v, err := r.value(s, 0)
	if err != nil {
		return nil, err
	}
	if r.Error != nil {
		return nil, r.Error
	}
	if r.Peek(); r.Error != io.EOF {
		return nil, errBehind
	}
	return v, nil
}

type reader struct {
	*avro.Reader
	form  Form
	count int
}

func (r *reader) value(s avro.Schema, depth int) (any, error) {
	if r.count++; r.count > maxValues {
		return nil, errMany
	}
	if depth > jsondoc.MaxDepth {
		return nil, errDeep
	}
	v, err := r.kind(follow(s), depth)
	if err == nil && r.Error != nil {
		err = r.Error
	}
	return v, err
}

func (r *reader) kind(s avro.Schema, depth int) (any, error) {
	switch x := s.(type) {
	case *avro.RecordSchema:
		return r.record(x, depth)
	case *avro.ArraySchema:
		return r.array(x, depth)
	case *avro.MapSchema:
		return r.dictionary(x, depth)
	case *avro.UnionSchema:
		return r.union(x, depth)
	case *avro.EnumSchema:
		symbol, ok := x.Symbol(int(r.ReadInt()))
		if !ok && r.Error == nil {
			return nil, fmt.Errorf("the enum %s has no such symbol", x.FullName())
		}
		return symbol, nil
	case *avro.FixedSchema:
		if x.Size() > maxBytes {
			return nil, jsondoc.ErrLimit
		}
		b := make([]byte, x.Size())
		r.Reader.Read(b)
		return r.bytes(b), nil
	}
	switch s.Type() {
	case avro.Null:
		return nil, nil
	case avro.Boolean:
		return r.ReadBool(), nil
	case avro.Int:
		return r.ReadInt(), nil
	case avro.Long:
		return jsondoc.Integer(r.ReadLong()), nil
	case avro.Float:
		return shortest(r.ReadFloat()), nil
	case avro.Double:
		return r.ReadDouble(), nil
	case avro.String:
		return r.ReadString(), nil
	case avro.Bytes:
		return r.bytes(r.ReadBytes()), nil
	}
	return nil, fmt.Errorf("the type %s is not known", s.Type())
}

// shortest is the double that is written with the digits that tell a float.
func shortest(f float32) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return float64(f)
	}
	return out
}

func (r *reader) bytes(b []byte) string {
	if r.form.Base64 {
		return base64.StdEncoding.EncodeToString(b)
	}
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

func (r *reader) record(s *avro.RecordSchema, depth int) (any, error) {
	o := new(jsondoc.Object)
	for _, f := range s.Fields() {
		v, err := r.value(f.Type(), depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		if v != nil || !r.form.OmitNulls {
			o.Set(f.Name(), v)
		}
	}
	return o, nil
}

// blocks calls f for each item of an array or a map.
func (r *reader) blocks(f func() error) error {
	for {
		n, _ := r.ReadBlockHeader()
		if n == 0 || r.Error != nil {
			return r.Error
		}
		if n < 0 || n > maxValues {
			return errMany
		}
		for range n {
			if err := f(); err != nil {
				return err
			}
		}
	}
}

func (r *reader) array(s *avro.ArraySchema, depth int) (any, error) {
	out := jsondoc.NewArray()
	err := r.blocks(func() error {
		v, err := r.value(s.Items(), depth+1)
		out.Items = append(out.Items, v)
		return err
	})
	return out, err
}

func (r *reader) dictionary(s *avro.MapSchema, depth int) (any, error) {
	out := new(jsondoc.Object)
	err := r.blocks(func() error {
		name := r.ReadString()
		v, err := r.value(s.Values(), depth+1)
		out.Set(name, v)
		return err
	})
	return out, err
}

func (r *reader) union(s *avro.UnionSchema, depth int) (any, error) {
	i := r.ReadLong()
	if r.Error != nil {
		return nil, r.Error
	}
	if i < 0 || i >= int64(len(s.Types())) {
		return nil, fmt.Errorf("a union has no branch %d", i)
	}
	branch := s.Types()[i]
	v, err := r.value(branch, depth+1)
	if err != nil || !r.form.Wrapped || branch.Type() == avro.Null {
		return v, err
	}
	o := new(jsondoc.Object)
	o.Set(nameOf(branch), v)
	return o, nil
}
