package el

import (
	"slices"
	"unicode/utf16"
)

// class is what methods belong to.
type class uint8

const (
	classNone class = iota
	classText
	classList
	classMap
	classMulti
	classNumber
	classBool
	classBytes
	classObject
	classTime
	classes_
)

var classOf = [...]class{Null: classNone, Bool: classBool, Int: classNumber, Long: classNumber, Double: classNumber, Text: classText,
	Bytes: classBytes, List: classList, Map: classMap, Values: classList, Multi: classMulti, Object: classObject, Time: classTime,
	opaque: classObject}

// impl is a method of one class.
type impl struct {
	min, max int // arguments
	call     func(m *machine, n *call, self Value, args []Value) (Value, error)
}

// method is all methods of one name on the allow-list.
type method struct {
	impls   [classes_]*impl
	pattern bool // the first argument is a pattern
}

// methods is the allow-list (addenda 6.3-e), as far as the value model has the classes. Nothing here changes anything.
var methods = allow(map[class]map[string]impl{classText: textMethods, classList: listMethods, classMap: mapMethods,
	classMulti: multiMethods, classNumber: numberMethods, classBool: boolMethods, classBytes: bytesMethods,
	classObject: objectMethods, classTime: timeMethods})

func allow(tables map[class]map[string]impl) map[string]*method {
	all := map[string]*method{}
	for c, table := range tables {
		for name, i := range table {
			m := all[name]
			if m == nil {
				m = &method{pattern: slices.Contains([]string{"matches", "replaceAll", "replaceFirst", "split"}, name)}
				all[name] = m
			}
			m.impls[c] = &i
		}
	}
	for c := classText; c < classes_; c++ {
		for name, i := range everyMethods {
			if all[name] == nil {
				all[name] = new(method)
			}
			if all[name].impls[c] == nil {
				all[name].impls[c] = &i
			}
		}
	}
	return all
}

// takes tells whether a method of that name takes n arguments.
func (m *method) takes(n int) bool {
	return slices.ContainsFunc(m.impls[:], func(i *impl) bool { return i != nil && i.min <= n && n <= i.max })
}

func (m *method) call(mm *machine, n *call, self Value, args []Value) (Value, error) {
	i := m.impls[classOf[self.kind]]
	if i == nil {
		f := faultf(CodeType, "a %s has no method %s", self.kind, n.name)
		if self.kind == Values && m.impls[classText] != nil {
			f.hint = "take one of the values with [0]"
		}
		return Value{}, f
	}
	if len(args) < i.min || len(args) > i.max {
		return Value{}, faultf(CodeArguments, "%s of a %s does not take %s", n.name, self.kind, count(len(args), "argument"))
	}
	return i.call(mm, n, self, args)
}

// argText is an argument that is wanted as text.
func argText(m *machine, v Value) (string, error) {
	if v.kind == Null {
		return "", &fault{code: CodeNull, text: "an argument is null"}
	}
	return m.text(v)
}

// everyMethods are those of java.lang.Object.
var everyMethods = map[string]impl{
	"equals": {1, 1, func(_ *machine, _ *call, self Value, a []Value) (Value, error) {
		return OfBool(identical(self, a[0])), nil
	}},
	"toString": {0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
		b, err := appendJava(nil, self)
		return OfText(string(b)), err
	}},
	"hashCode": {0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) { return hashCode(self) }},
}

// identical is Java's equals: types count, where == looks at values.
func identical(a, b Value) bool {
	if a.isList() && b.isList() {
		return equal(a, b, true)
	}
	return a.kind == b.kind && equal(a, b, true)
}

// appendJava appends what Java's toString writes.
func appendJava(dst []byte, v Value) ([]byte, error) {
	var err error
	switch v.kind {
	case Null:
		return append(dst, "null"...), nil
	case List, Values:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			if dst, err = appendJava(dst, v.At(i)); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), tooLong(dst)
	case Map:
		dst = append(dst, '{')
		first := true
		v.mapping().Each(func(key string, e Value) bool {
			if !first {
				dst = append(dst, ", "...)
			}
			first = false
			dst, err = appendJava(append(append(dst, key...), '='), e)
			return err == nil
		})
		if err == nil {
			err = tooLong(dst)
		}
		return append(dst, '}'), err
	}
	return appendText(dst, v)
}

func tooLong(dst []byte) error {
	if len(dst) > maxResult {
		return faultf(CodeSize, "a text of more than %d bytes", maxResult)
	}
	return nil
}

// hashCode is Java's hash of a text or a whole number, as rules that spread keys use it.
func hashCode(v Value) (Value, error) {
	switch v.kind {
	case Text:
		h := int32(0)
		var pair [2]uint16
		for _, r := range v.text {
			for _, u := range utf16.AppendRune(pair[:0], r) {
				h = 31*h + int32(u)
			}
		}
		return OfInt(int64(h)), nil
	case Int:
		return v, nil
	case Long:
		return OfInt(int64(int32(v.num ^ v.num>>32))), nil
	case Bool:
		if v.Bool() {
			return OfInt(1231), nil
		}
		return OfInt(1237), nil
	}
	return Value{}, faultf(CodeType, "hashCode of a %s", v.kind)
}

var boolMethods = map[string]impl{
	"booleanValue": {0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) { return self, nil }},
}

var numberMethods = map[string]impl{
	"intValue":    {0, 0, toInteger},
	"longValue":   {0, 0, toLongValue},
	"doubleValue": {0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) { return OfDouble(self.Float()), nil }},
	"compareTo": {1, 1, func(_ *machine, _ *call, self Value, a []Value) (Value, error) {
		if !a[0].isNumber() {
			return Value{}, faultf(CodeType, "compareTo of a number and a %s", a[0].kind)
		}
		return OfInt(int64(compareNumbers(self, a[0]))), nil
	}},
}

func toInteger(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
	n, err := toLong(self)
	return OfInt(int64(int32(n))), err
}

func toLongValue(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
	n, err := toLong(self)
	return OfLong(n), err
}

var bytesMethods = map[string]impl{
	"length": {0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
		return OfInt(int64(len(self.bytes()))), nil
	}},
}
