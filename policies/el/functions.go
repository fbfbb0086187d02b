package el

import (
	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
)

// builtin is a function of the language.
type builtin struct {
	min, max int
	// compile reads the query that is the second argument; nil: there is none.
	compile func(text string) (any, error)
	call    func(m *machine, n *function, a []Value) (Value, error)
}

// functions are written #name(...) (addenda 6.3-a).
var functions = map[string]*builtin{
	"jsonPath":   {2, 2, compileJSONPath, jsonPath},
	"xpath":      {2, 3, compileXPath, xPath},
	"jsonEscape": {1, 1, nil, escapeWith(appendJSONEscaped)},
	"xmlEscape":  {1, 1, nil, escapeWith(appendXMLEscaped)},
}

// query keeps a compiled query: the one that is written out, or those that were computed.
type query struct {
	fixed any
	recent[any]
}

func (n *function) compiled(v Value) (any, error) {
	q := &n.query
	if q.fixed != nil {
		return q.fixed, nil
	}
	if v.kind == Values && v.Len() > 0 {
		v = v.At(0)
	}
	if v.kind != Text {
		return nil, faultf(CodeType, "#%s wants a path as text, not a %s", n.name, v.kind)
	}
	if known, ok := q.find(v.text); ok {
		return known, nil
	}
	made, err := n.f.compile(v.text)
	if err != nil {
		return nil, faultf(CodePath, "the path %s %v", quoteShort(v.text), err)
	}
	q.keep(v.text, made)
	return made, nil
}

// searchSteps is what a search through a document counts as, in steps.
const searchSteps = 1_000

// jsonPath is #jsonPath(text or value, path).
func jsonPath(m *machine, n *function, a []Value) (Value, error) {
	q, err := n.compiled(a[1])
	if err != nil {
		return Value{}, err
	}
	doc := a[0]
	switch doc.kind {
	case Map, List:
	case Null:
		return Value{}, &fault{code: CodeNull, text: "#jsonPath of null"}
	default:
		text, err := documentText(m, doc)
		if err != nil {
			return Value{}, err
		}
		if err := m.spend(len(text) / bytesPerStep / 4); err != nil {
			return Value{}, err
		}
		if doc, err = m.documents().JSON(text); err != nil {
			return Value{}, err
		}
	}
	path := q.(*jsonQuery)
	if !path.definite {
		if err := m.spend(searchSteps); err != nil {
			return Value{}, err
		}
	}
	return path.run(doc)
}

func documentText(m *machine, v Value) (string, error) {
	if v.kind == Bytes {
		return string(v.bytes()), nil
	}
	return m.text(v)
}

// xmlQuery is a compiled XPath.
type xmlQuery struct{ expr *xpath.Expr }

func compileXPath(text string) (q any, err error) {
	if len(text) > maxPath {
		return nil, faultf(CodePath, "is too long")
	}
	defer func() {
		if recover() != nil { // the library's parser panics on some texts
			q, err = nil, faultf(CodePath, "is not an XPath")
		}
	}()
	expr, err := xpath.Compile(text)
	if err != nil {
		return nil, faultf(CodePath, "is not an XPath: %v", err)
	}
	return &xmlQuery{expr}, nil
}

// xPath is #xpath(text, path[, type]).
func xPath(m *machine, n *function, a []Value) (Value, error) {
	q, err := n.compiled(a[1])
	if err != nil {
		return Value{}, err
	}
	kind := "string"
	if len(a) == 3 {
		if kind, err = argText(m, a[2]); err != nil {
			return Value{}, err
		}
	}
	if a[0].kind == Null {
		return Value{}, &fault{code: CodeNull, text: "#xpath of null"}
	}
	text, err := documentText(m, a[0])
	if err != nil {
		return Value{}, err
	}
	if err := m.spend(searchSteps + len(text)/bytesPerStep/4); err != nil {
		return Value{}, err
	}
	doc, err := m.documents().XML(text)
	if err != nil {
		return Value{}, err
	}
	return q.(*xmlQuery).run(doc, kind)
}

func (q *xmlQuery) run(doc *xmlquery.Node, kind string) (v Value, err error) {
	defer func() {
		if recover() != nil { // the library panics where a function is given a wrong type
			v, err = Value{}, faultf(CodePath, "the path cannot be applied to this document")
		}
	}()
	result := q.expr.Evaluate(xmlquery.CreateXPathNavigator(doc))
	nodes, isNodes := result.(*xpath.NodeIterator)
	var texts []string
	if isNodes {
		for nodes.MoveNext() {
			if texts = append(texts, nodes.Current().Value()); len(texts) > maxItems {
				return Value{}, faultf(CodeSize, "a list of more than %d elements", maxItems)
			}
		}
	}
	switch kind {
	case "string", "node":
		return xmlText(result, texts, isNodes), nil
	case "node_list", "document_list":
		if !isNodes {
			return OfList([]Value{Of(result)}), nil
		}
		return OfTexts(texts), nil
	case "boolean":
		return xmlBool(result, texts, isNodes), nil
	case "number":
		f, bad := toDouble(xmlText(result, texts, isNodes))
		if bad != nil {
			f = notANumber
		}
		return OfDouble(f), nil
	}
	return Value{}, faultf(CodeArgument, "the type %s of #xpath is none of string, boolean, number, node, node_list, document_list", quoteShort(kind))
}

func xmlText(result any, texts []string, isNodes bool) Value {
	switch {
	case isNodes && len(texts) == 0:
		return OfText("")
	case isNodes:
		return OfText(texts[0])
	}
	if f, ok := result.(float64); ok {
		return OfText(xpathNumber(f))
	}
	return OfText(Of(result).String())
}

func xmlBool(result any, texts []string, isNodes bool) Value {
	switch r := result.(type) {
	case bool:
		return OfBool(r)
	case float64:
		return OfBool(r != 0 && r == r)
	case string:
		return OfBool(r != "")
	}
	return OfBool(isNodes && len(texts) > 0)
}
