package el

import (
	"bytes"
	"cmp"
	"strings"
)

// equal compares as == does: numbers by their value, lists and maps by their elements. All values of a header are equal to a
// text where the first of them is (addenda 0; not where strict).
func equal(a, b Value, strict bool) bool {
	if a.kind == Values && b.kind == Text {
		return !strict && a.Len() > 0 && a.At(0).text == b.text
	}
	if a.kind == Text && b.kind == Values {
		return equal(b, a, strict)
	}
	switch {
	case a.isNumber() && b.isNumber():
		return compareNumbers(a, b) == 0
	case a.isList() && b.isList():
		return equalLists(a, b, strict)
	case a.kind != b.kind:
		return false
	}
	switch a.kind {
	case Null:
		return true
	case Bool:
		return a.num == b.num
	case Text:
		return a.text == b.text
	case Bytes:
		return bytes.Equal(a.bytes(), b.bytes())
	case Map:
		return equalMaps(a, b, strict)
	case Time:
		x, y := a.ref.(*moment), b.ref.(*moment)
		return x.class == y.class && x.at.Equal(y.at)
	}
	return a.ref == b.ref
}

func equalLists(a, b Value, strict bool) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !equal(a.At(i), b.At(i), strict) {
			return false
		}
	}
	return true
}

func equalMaps(a, b Value, strict bool) bool {
	if a.Len() != b.Len() {
		return false
	}
	same := true
	a.mapping().Each(func(key string, v Value) bool {
		other, ok := b.mapping().Get(key)
		same = ok && equal(v, other, strict)
		return same
	})
	return same
}

func compareNumbers(a, b Value) int {
	if a.isWhole() && b.isWhole() {
		return cmp.Compare(a.Int(), b.Int())
	}
	return cmp.Compare(a.Float(), b.Float())
}

// compare orders two values; null comes before anything (Spring's type comparator).
func compare(a, b Value) (int, error) {
	if a.kind == Values && a.Len() > 0 {
		a = a.At(0)
	}
	if b.kind == Values && b.Len() > 0 {
		b = b.At(0)
	}
	switch {
	case a.kind == Null || b.kind == Null:
		return cmp.Compare(min(1, a.kind), min(1, b.kind)), nil
	case a.isNumber() && b.isNumber():
		return compareNumbers(a, b), nil
	case a.kind == Text && b.kind == Text:
		return strings.Compare(a.text, b.text), nil
	case a.kind == Bool && b.kind == Bool:
		return cmp.Compare(a.num, b.num), nil
	case a.kind == Time && b.kind == Time && a.ref.(*moment).class == b.ref.(*moment).class:
		return a.ref.(*moment).at.Compare(b.ref.(*moment).at), nil
	}
	return 0, &fault{code: CodeType, text: "a " + a.kind.String() + " has no order with a " + b.kind.String(),
		hint: orderHint(a, b)}
}

func orderHint(a, b Value) string {
	if a.kind == Text && b.isNumber() || a.isNumber() && b.kind == Text {
		return "T(java.lang.Long).parseLong() makes a number of a text"
	}
	return ""
}
