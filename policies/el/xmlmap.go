package el

import (
	"strings"

	"github.com/antchfx/xmlquery"
)

// xmlMap is a document as a map (addenda 6.2-d): its root element by its name; an element is its text, or a map of its
// attributes and elements where it has any, with repeated ones in a list and its own text under "".
func xmlMap(doc *xmlquery.Node) Value {
	out := new(Dict)
	addElements(out, doc)
	return OfMap(out)
}

func addElements(out *Dict, of *xmlquery.Node) (text string) {
	var b strings.Builder
	for n := of.FirstChild; n != nil; n = n.NextSibling {
		switch n.Type {
		case xmlquery.TextNode, xmlquery.CharDataNode:
			b.WriteString(n.Data)
		case xmlquery.ElementNode:
			addElement(out, n)
		}
	}
	return b.String()
}

func addElement(out *Dict, n *xmlquery.Node) {
	name := n.Data
	if n.Prefix != "" {
		name = n.Prefix + ":" + name
	}
	v := element(n)
	old, ok := out.Get(name)
	switch {
	case !ok:
		out.put(name, v)
	default:
		if l, many := old.ref.(*valueList); many {
			*l = append(*l, v)
			return
		}
		out.put(name, OfList([]Value{old, v}))
	}
}

func element(n *xmlquery.Node) Value {
	d := new(Dict)
	for _, a := range n.Attr {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
			d.put(a.Name.Local, OfText(a.Value))
		}
	}
	text := addElements(d, n)
	if d.Len() == 0 {
		return OfText(text)
	}
	if text = strings.TrimSpace(text); text != "" {
		d.put("", OfText(text))
	}
	return OfMap(d)
}
