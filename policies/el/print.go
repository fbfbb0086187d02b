package el

import (
	"strconv"
	"strings"
)

// What print writes parses into the same tree: each operator with its operands is in parentheses, texts are in single
// quotes, and words are symbols where there are symbols.

func (n *literal) print(dst []byte) []byte {
	switch n.v.kind {
	case Null:
		return append(dst, "null"...)
	case Text:
		dst = append(dst, '\'')
		dst = append(dst, strings.ReplaceAll(n.v.text, "'", "''")...)
		return append(dst, '\'')
	case Long:
		return append(strconv.AppendInt(dst, n.v.Int(), 10), 'L')
	case Double:
		return append(strconv.AppendFloat(dst, n.v.Float(), 'g', -1, 64), 'd')
	}
	out, _ := appendText(dst, n.v) // integers and booleans have a text
	return out
}

func (n *variable) print(dst []byte) []byte { return append(append(dst, '#'), n.name...) }

func (n *this) print(dst []byte) []byte {
	if n.root {
		return append(dst, "#root"...)
	}
	return append(dst, "#this"...)
}

func (n *typeNode) print(dst []byte) []byte {
	return append(append(append(dst, "T("...), n.name...), ')')
}

func (n *constant) print(dst []byte) []byte {
	return append(append((&typeNode{n.class}).print(dst), '.'), n.name...)
}

func dot(dst []byte, of node, safe bool) []byte {
	dst = of.print(dst)
	if safe {
		dst = append(dst, '?')
	}
	return append(dst, '.')
}

func (n *member) print(dst []byte) []byte {
	if n.bare {
		return append(dst, n.name...)
	}
	return append(dot(dst, n.of, n.safe), n.name...)
}

func (n *index) print(dst []byte) []byte {
	if n.safe {
		dst = dot(dst, n.of, true)
	} else {
		dst = n.of.print(dst)
	}
	return append(n.key.print(append(dst, '[')), ']')
}

func printAll(dst []byte, open, shut byte, items []node) []byte {
	dst = append(dst, open)
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = item.print(dst)
	}
	return append(dst, shut)
}

func (n *call) print(dst []byte) []byte {
	return printAll(append(dot(dst, n.of, n.safe), n.name...), '(', ')', n.args)
}

func (n *static) print(dst []byte) []byte {
	if n.name == "new" {
		dst = append(append(dst, "new "...), n.class...)
	} else {
		dst = append(append((&typeNode{n.class}).print(dst), '.'), n.name...)
	}
	return printAll(dst, '(', ')', n.args)
}

func (n *function) print(dst []byte) []byte {
	return printAll(append(append(dst, '#'), n.name...), '(', ')', n.args)
}

func printPair(dst []byte, left node, operator string, right node) []byte {
	dst = left.print(append(dst, '('))
	dst = append(append(append(dst, ' '), operator...), ' ')
	return append(right.print(dst), ')')
}

func (n *logical) print(dst []byte) []byte     { return printPair(dst, n.left, opNames[n.op], n.right) }
func (n *binary) print(dst []byte) []byte      { return printPair(dst, n.left, opNames[n.op], n.right) }
func (n *elvis) print(dst []byte) []byte       { return printPair(dst, n.left, "?:", n.other) }
func (n *matchesNode) print(dst []byte) []byte { return printPair(dst, n.left, "matches", n.right) }
func (n *between) print(dst []byte) []byte     { return printPair(dst, n.left, "between", n.right) }
func (n *instanceOf) print(dst []byte) []byte {
	return printPair(dst, n.left, "instanceof", &typeNode{n.class})
}

func (n *unary) print(dst []byte) []byte {
	return append(n.operand.print(append(append(dst, '('), opNames[n.op]...)), ')')
}

func (n *ternary) print(dst []byte) []byte {
	dst = append(n.when.print(append(dst, '(')), " ? "...)
	dst = append(n.yes.print(dst), " : "...)
	return append(n.no.print(dst), ')')
}

func (n *list) print(dst []byte) []byte { return printAll(dst, '{', '}', n.items) }

func (n *dict) print(dst []byte) []byte {
	if len(n.keys) == 0 {
		return append(dst, "{:}"...)
	}
	dst = append(dst, '{')
	for i := range n.keys {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(n.keys[i].print(dst), ": "...)
		dst = n.values[i].print(dst)
	}
	return append(dst, '}')
}

func (n *selection) print(dst []byte) []byte {
	dst = append(dot(dst, n.of, n.safe), n.mode, '[')
	return append(n.what.print(dst), ']')
}
