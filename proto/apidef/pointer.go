package apidef

import (
	"strconv"
	"strings"
)

// pointerEscape writes a member name as an RFC 6901 reference token; pointerUnescape reads it back.
var (
	pointerEscape   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// childOf is the pointer to a member of the object at parent.
func childOf(parent, name string) string { return parent + "/" + pointerEscape.Replace(name) }

// itemOf is the pointer to an element of the list at parent.
func itemOf(parent string, i int) string { return parent + "/" + strconv.Itoa(i) }

// splitLast cuts a pointer into its parent and the unescaped last token. The root has neither.
func splitLast(pointer string) (parent, name string) {
	i := strings.LastIndexByte(pointer, '/')
	if i < 0 {
		return "", ""
	}
	return pointer[:i], pointerUnescape.Replace(pointer[i+1:])
}

// tokens is every reference token of a pointer, unescaped.
func tokens(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer[1:], "/")
	for i, p := range parts {
		parts[i] = pointerUnescape.Replace(p)
	}
	return parts
}

// within tells whether pointer is at or beneath ancestor.
func within(pointer, ancestor string) bool {
	rest, ok := strings.CutPrefix(pointer, ancestor)
	return ok && (rest == "" || rest[0] == '/')
}

// place is where a value stands: from, in the document as the user wrote it; to, in the normal form.
type place struct{ from, to string }

func (p place) member(from, to string) place {
	return place{from: childOf(p.from, from), to: childOf(p.to, to)}
}

func (p place) item(i int) place {
	return place{from: itemOf(p.from, i), to: itemOf(p.to, i)}
}

// origins maps pointers of the normal form to pointers of the document, sparsely: an entry stands only where the two
// part (the root of a manifest, a renamed member, a plan that came from a map), and holds for all beneath it.
type origins map[string]string

func (o origins) of(pointer string) string {
	for p := pointer; ; p, _ = splitLast(p) {
		if from, ok := o[p]; ok {
			return from + pointer[len(p):]
		}
		if p == "" {
			return pointer
		}
	}
}
