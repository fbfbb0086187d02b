package datamasking

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
)

// places are those that an XPath names.
type places = xpath.Expr

var errNoPlaces = errors.New("it gives a value, not places")

// parseXPath reads an XPath that names places in a document.
func parseXPath(text string) (*places, error) {
	e, err := xpath.Compile(text)
	if err != nil {
		return nil, err
	}
	doc, err := xmlquery.Parse(bytes.NewReader([]byte("<a/>")))
	if err != nil {
		return nil, err
	}
	if _, ok := e.Evaluate(xmlquery.CreateXPathNavigator(doc)).(*xpath.NodeIterator); !ok {
		return nil, errNoPlaces
	}
	return e, nil
}

// maxXMLDepth bounds the elements within elements.
const maxXMLDepth = 256

func maskXML(b []byte, rules []*rule) ([]byte, bool, error) {
	doc, err := xmlquery.Parse(bytes.NewReader(b))
	if err != nil {
		return nil, false, fmt.Errorf("the content is not XML: %w", err)
	}
	if depth(doc) > maxXMLDepth {
		return nil, false, errors.New("the content has too many elements within elements")
	}
	changed := false
	for _, r := range rules {
		for _, n := range xmlquery.QuerySelectorAll(doc, r.xpath) {
			changed = r.node(n) || changed
		}
	}
	if !changed {
		return b, false, nil
	}
	return []byte(doc.OutputXMLWithOptions(xmlquery.WithPreserveSpace())), true, nil
}

// depth is how deep the document is. It does not recurse: the document is not yet known to be shallow.
func depth(n *xmlquery.Node) int {
	deepest, here := 0, 0
	for at := n; at != nil; {
		if at.FirstChild != nil {
			at, here = at.FirstChild, here+1
			deepest = max(deepest, here)
			continue
		}
		for at != nil && at != n && at.NextSibling == nil {
			at, here = at.Parent, here-1
		}
		if at == nil || at == n {
			break
		}
		at = at.NextSibling
	}
	return deepest
}

// node masks a node: the texts within an element, or an attribute, of which the library gives a copy.
func (r *rule) node(n *xmlquery.Node) (changed bool) {
	switch n.Type {
	case xmlquery.TextNode, xmlquery.CharDataNode:
		out, ok := r.of([]byte(n.Data))
		if ok {
			n.Data = string(out)
		}
		return ok
	case xmlquery.AttributeNode:
		if n.Parent == nil {
			return false
		}
		for i := range n.Parent.Attr {
			a := &n.Parent.Attr[i]
			if a.Name.Local != n.Data {
				continue
			}
			if out, ok := r.of([]byte(a.Value)); ok {
				a.Value, changed = string(out), true
			}
		}
		return changed
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		changed = r.node(c) || changed
	}
	return changed
}
