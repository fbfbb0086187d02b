package apidef

import (
	"fmt"
	"strings"
)

// Severity tells an error, which refuses the definition, from a warning, which does not.
type Severity string

// Severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one thing wrong with a definition: where (an RFC 6901 JSON pointer into the document as the user
// wrote it), what and what to do, and a stable technical code (spec 8.2) that never changes meaning.
type Problem struct {
	Pointer  string   `json:"location"`
	Message  string   `json:"message"`
	Code     string   `json:"technicalCode"`
	Severity Severity `json:"severity"`

	// Line and Column are where the pointer stands in the text, counted from 1; 0 where there is no text, and Column
	// 0 where the YAML parser tells the line only.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// Problems is every problem found, in document order. It is an error where one of them is.
type Problems []Problem

// Errors returns those that refuse the definition.
func (ps Problems) Errors() Problems { return ps.only(Error) }

// Warnings returns those that do not.
func (ps Problems) Warnings() Problems { return ps.only(Warning) }

func (ps Problems) only(s Severity) Problems {
	var out Problems
	for _, p := range ps {
		if p.Severity == s {
			out = append(out, p)
		}
	}
	return out
}

// Err returns ps as an error where it holds at least one error, else nil.
func (ps Problems) Err() error {
	if len(ps.Errors()) == 0 {
		return nil
	}
	return ps
}

// Error renders one line per problem.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Pointer)
		b.WriteString("  ")
		b.WriteString(p.Message)
	}
	return b.String()
}

// collector gathers problems up to maxProblems. Those beyond are counted, and an error among them stays one.
type collector struct {
	found   Problems
	dropped int
	worst   Severity
}

func (c *collector) add(p Problem) {
	if len(c.found) < maxProblems {
		c.found = append(c.found, p)
		return
	}
	c.dropped++
	if c.worst != Error {
		c.worst = p.Severity
	}
}

// all is what was gathered, and a last problem that tells of the rest.
func (c *collector) all() Problems {
	if c.dropped == 0 {
		return c.found
	}
	rest := Problem{Message: fmt.Sprintf("%d more problems are not shown", c.dropped), Code: CodeLimit, Severity: c.worst}
	return append(c.found[:len(c.found):len(c.found)], rest)
}
