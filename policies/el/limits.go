package el

// What a text may be at most when it is parsed. Whoever writes definitions is trusted, but a generated text may be wrong.
const (
	maxText  = 256 << 10 // bytes of a text, its literal parts included: a response template or an envelope is one
	maxDepth = 64        // expressions within expressions
	maxNodes = 4_000     // parts of all fragments of a text together
	maxArgs  = 16        // arguments of one call
)

// What one evaluation may cost at most, whatever the data are: messages and requests come from outside.
const (
	maxSteps  = 200_000 // parts evaluated, those of selections and projections once per element
	maxResult = 8 << 20 // bytes of one text that is made
	maxItems  = 50_000  // elements of one list or map that is made
	maxInput  = 4 << 20 // bytes of a text that a pattern is tried on
	maxRegex  = 4 << 10 // bytes of a pattern
	maxStates = 5_000   // states of a pattern once its repetitions are written out: some patterns come from subscribers
	maxPath   = 4 << 10 // bytes of a JSONPath or XPath
	maxDoc    = 8 << 20 // bytes of a JSON or XML document
	maxDocAll = 200_000 // values in one document
	maxDocIn  = 128     // objects and arrays within each other in one document

	// Work on texts counts as steps too: so many bytes that a method looks at are one step, and so many states times bytes
	// of a pattern.
	bytesPerStep  = 256
	statesPerStep = 4 << 10
)
