package el

import (
	"encoding/base64"
	"net/url"
	"strings"
)

var textStatics = map[string]staticMethod{
	"java.lang.String.valueOf": valueText,
	"java.lang.String.format":  {1, maxArgs, false, formatText},
	"java.lang.String.join":    {2, maxArgs, false, joinText},
	"java.lang.String.new": {0, 2, false, func(m *machine, a []Value) (Value, error) {
		if len(a) == 0 {
			return OfText(""), nil
		}
		if err := utf8Only(m, a[1:]); err != nil {
			return Value{}, err
		}
		if a[0].kind == Bytes {
			return OfText(strings.ToValidUTF8(string(a[0].bytes()), "\uFFFD")), nil
		}
		s, err := argText(m, a[0])
		return Value{kind: Text, text: s, view: a[0].view}, err
	}},
}

func joinText(m *machine, a []Value) (Value, error) {
	by, err := argText(m, a[0])
	if err != nil {
		return Value{}, err
	}
	items := a[1:]
	if len(items) == 1 && items[0].isList() {
		list := items[0]
		items = make([]Value, list.Len())
		for i := range items {
			items[i] = list.At(i)
		}
	}
	var out []byte
	for i, item := range items {
		if i > 0 {
			out = append(out, by...)
		}
		if out, err = appendOperand(out, item); err == nil {
			err = tooLong(out)
		}
		if err != nil {
			return Value{}, err
		}
	}
	return OfText(string(out)), nil
}

// javaEscape and goUnescape: Java leaves * alone and escapes ~, Go the other way round.
var javaEscape = strings.NewReplacer("%2A", "*", "~", "%7E")

var codecStatics = map[string]staticMethod{
	"java.net.URLEncoder.encode": {1, 2, false, func(m *machine, a []Value) (Value, error) {
		s, err := argText(m, a[0])
		if err == nil {
			err = utf8Only(m, a[1:])
		}
		return OfText(javaEscape.Replace(url.QueryEscape(s))), err
	}},
	"java.net.URLDecoder.decode": {1, 2, false, func(m *machine, a []Value) (Value, error) {
		s, err := argText(m, a[0])
		if err == nil {
			err = utf8Only(m, a[1:])
		}
		if err != nil {
			return Value{}, err
		}
		out, bad := url.QueryUnescape(s)
		if bad != nil {
			return Value{}, faultf(CodeArgument, "the text %s is not URL-encoded", quoteShort(s))
		}
		return OfText(out), nil
	}},
	"java.util.Base64.getEncoder":     encoder(base64.StdEncoding),
	"java.util.Base64.getUrlEncoder":  encoder(base64.URLEncoding),
	"java.util.Base64.getDecoder":     decoder(base64.RawStdEncoding),
	"java.util.Base64.getUrlDecoder":  decoder(base64.RawURLEncoding),
	"java.util.Base64.getMimeDecoder": decoder(base64.RawStdEncoding),
}

func encoder(e *base64.Encoding) staticMethod {
	v := Value{kind: opaque, ref: &base64Encoder{e}}
	return staticMethod{0, 0, false, func(*machine, []Value) (Value, error) { return v, nil }}
}

func decoder(e *base64.Encoding) staticMethod {
	v := Value{kind: opaque, ref: &base64Decoder{e}}
	return staticMethod{0, 0, false, func(*machine, []Value) (Value, error) { return v, nil }}
}

type base64Encoder struct{ e *base64.Encoding }

func (b *base64Encoder) invoke(m *machine, name string, a []Value) (Value, bool, error) {
	if name == "withoutPadding" {
		return Value{kind: opaque, ref: &base64Encoder{b.e.WithPadding(base64.NoPadding)}}, true, nil
	}
	if name != "encode" && name != "encodeToString" {
		return Value{}, false, nil
	}
	src, err := argBytes(m, a[0])
	if err != nil {
		return Value{}, true, err
	}
	out := b.e.EncodeToString(src)
	if name == "encode" {
		return ofBytes([]byte(out)), true, nil
	}
	return OfText(out), true, nil
}

type base64Decoder struct{ e *base64.Encoding }

func (b *base64Decoder) invoke(m *machine, name string, a []Value) (Value, bool, error) {
	if name != "decode" {
		return Value{}, false, nil
	}
	src, err := argBytes(m, a[0])
	if err != nil {
		return Value{}, true, err
	}
	out, bad := b.e.DecodeString(strings.TrimRight(string(src), "="))
	if bad != nil {
		return Value{}, true, faultf(CodeArgument, "the text is not Base64")
	}
	return ofBytes(out), true, nil
}

// argBytes is an argument that is wanted as bytes; a text is taken as UTF-8.
func argBytes(m *machine, v Value) ([]byte, error) {
	if v.kind == Bytes {
		return v.bytes(), nil
	}
	s, err := argText(m, v)
	return viewBytes(s), err
}

var collectionStatics = map[string]staticMethod{
	"java.util.Collections.max": {1, 1, false, best(1)},
	"java.util.Collections.min": {1, 1, false, best(-1)},
	"java.util.Collections.frequency": {2, 2, false, func(_ *machine, a []Value) (Value, error) {
		if !a[0].isList() {
			return Value{}, faultf(CodeType, "frequency wants a list")
		}
		n := int64(0)
		for i := range a[0].Len() {
			if equal(a[0].At(i), a[1], true) {
				n++
			}
		}
		return OfInt(n), nil
	}},
}

// best returns the element that comes last (1) or first (-1) in order.
func best(sign int) func(*machine, []Value) (Value, error) {
	return func(_ *machine, a []Value) (Value, error) {
		if !a[0].isList() || a[0].Len() == 0 {
			return Value{}, faultf(CodeType, "max and min want a list that is not empty")
		}
		v := a[0].At(0)
		for i := range a[0].Len() {
			c, err := compare(a[0].At(i), v)
			if err != nil {
				return Value{}, err
			}
			if c == sign {
				v = a[0].At(i)
			}
		}
		return v, nil
	}
}
