package apidef

import (
	"encoding/json"
	"fmt"
)

// reader collects what is found while a document is read.
type reader struct {
	collector
	dialect Dialect
	origins origins
	carried map[string]json.RawMessage
	unknown map[string]json.RawMessage
}

func (r *reader) fail(at place, code, format string, args ...any) {
	r.report(at, Error, code, fmt.Sprintf(format, args...))
}

func (r *reader) warn(at place, code, format string, args ...any) {
	r.report(at, Warning, code, fmt.Sprintf(format, args...))
}

func (r *reader) report(at place, s Severity, code, message string) {
	r.add(Problem{Pointer: at.from, Message: message, Code: code, Severity: s})
}

// want tells whether n is of the wanted kind, and reports it where it is not.
func (r *reader) want(k kind, n *node, at place) bool {
	if n.kind == k {
		return true
	}
	r.fail(at, CodeMemberType, "must be %s, not %s", k, n.kind)
	return false
}

// keepRaw keeps a member that no field reads. Null says nothing in any dialect.
func keepRaw(members *map[string]json.RawMessage, pointer string, n *node) {
	if n.kind == nullKind {
		return
	}
	if *members == nil {
		*members = map[string]json.RawMessage{}
	}
	(*members)[pointer] = n.raw()
}

// distance is how many letters must be put in, taken out or replaced to turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
