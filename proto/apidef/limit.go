package apidef

import "fmt"

// Limits of a document. They are far above any real definition; they keep a hostile one from costing memory.
const (
	// maxDocumentBytes bounds the text of one definition. 4 MiB is four times what etcd takes for one object.
	maxDocumentBytes = 4 << 20
	// maxDepth bounds nesting. The definition itself is 9 deep; the rest is for opaque configurations.
	maxDepth = 64
	// maxValues bounds the values of one document after YAML aliases are expanded.
	maxValues = 200_000
	// maxExpandedBytes bounds its text after YAML aliases are expanded.
	maxExpandedBytes = 2 * maxDocumentBytes
	// maxProblems bounds what one document reports. Nobody reads on after so many.
	maxProblems = 500
)

// budget is what a document has used of its limits.
type budget struct{ values, bytes int }

// take accounts for one value with size bytes of text, and tells the limit it passes, if any.
func (b *budget) take(at string, depth, size int) *Problem {
	b.values++
	b.bytes += size
	switch {
	case depth > maxDepth:
		return tooMuch(at, fmt.Sprintf("is nested more than %d deep", maxDepth))
	case b.values > maxValues:
		return tooMuch("", fmt.Sprintf("holds more than %d values", maxValues))
	case b.bytes > maxExpandedBytes:
		return tooMuch("", fmt.Sprintf("is larger than %d bytes once its YAML aliases are expanded", maxExpandedBytes))
	}
	return nil
}

func tooMuch(pointer, message string) *Problem {
	return &Problem{Pointer: pointer, Message: message, Code: CodeLimit, Severity: Error}
}
