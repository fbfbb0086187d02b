package apidef

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// parseYAML reads every document of a YAML text, leaving out the empty ones. Each has its own problems; a syntax
// error or a limit, which is one for all documents together, ends the reading and stands, with a nil node, in the last.
func parseYAML(data []byte) []parsed {
	var all []parsed
	var used budget
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			return append(all, parsed{problems: Problems{yamlProblem(err)}})
		}
		if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
			continue
		}
		p := &yamlParser{budget: &used}
		root, limit := p.value(doc.Content[0], "", 0)
		if limit != nil {
			return append(all, parsed{problems: Problems{*limit}})
		}
		all = append(all, parsed{root: root, problems: p.problems})
	}
}

// parsed is one document read into a tree, or the problems for which it could not be.
type parsed struct {
	root     *node
	problems Problems
}

type yamlParser struct {
	budget   *budget
	problems Problems
}

func (p *yamlParser) value(y *yaml.Node, at string, depth int) (*node, *Problem) {
	if limit := p.budget.take(at, depth, len(y.Value)); limit != nil {
		limit.Line, limit.Column = y.Line, y.Column
		return nil, limit
	}
	n := &node{line: y.Line, column: y.Column}
	switch y.Kind {
	case yaml.AliasNode: // an alias inside its own anchor ends at the depth limit
		return p.value(y.Alias, at, depth+1)
	case yaml.SequenceNode:
		n.kind = listKind
		for i, item := range y.Content {
			v, limit := p.value(item, itemOf(at, i), depth+1)
			if limit != nil {
				return nil, limit
			}
			n.items = append(n.items, v)
		}
	case yaml.MappingNode:
		n.kind = objectKind
		return n, p.mapping(n, y, at, depth)
	default:
		p.scalar(n, y, at)
	}
	return n, nil
}

func (p *yamlParser) mapping(n *node, y *yaml.Node, at string, depth int) *Problem {
	seen := map[string]bool{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			p.report(at, key, CodeMemberType, "has a member whose name is not a text")
			continue
		}
		if key.ShortTag() == "!!merge" {
			continue // after all members of its own
		}
		v, limit := p.value(value, childOf(at, key.Value), depth+1)
		if limit != nil {
			return limit
		}
		if seen[key.Value] {
			p.problems = append(p.problems, twice(childOf(at, key.Value), key.Line, key.Column))
			continue
		}
		seen[key.Value] = true
		n.set(key.Value, v)
	}
	return p.merge(n, y, at, depth, seen)
}

// merge adds the members of "<<": own members win, and so does the first of several merged objects.
func (p *yamlParser) merge(n *node, y *yaml.Node, at string, depth int, seen map[string]bool) *Problem {
	for i := 0; i+1 < len(y.Content); i += 2 {
		if y.Content[i].Kind != yaml.ScalarNode || y.Content[i].ShortTag() != "!!merge" {
			continue
		}
		v, limit := p.value(y.Content[i+1], at, depth+1)
		if limit != nil {
			return limit
		}
		from := v.items
		if v.kind == objectKind {
			from = []*node{v}
		}
		for _, source := range from {
			for _, e := range source.entries {
				if !seen[e.name] {
					seen[e.name] = true
					n.set(e.name, e.value)
				}
			}
		}
	}
	return nil
}

func (p *yamlParser) scalar(n *node, y *yaml.Node, at string) {
	switch y.ShortTag() {
	case "!!null":
		n.kind = nullKind
	case "!!bool":
		n.kind, n.text = flagKind, strings.ToLower(y.Value)
	case "!!int", "!!float":
		n.kind = numberKind
		literal, ok := jsonNumber(y.Value)
		if !ok {
			p.report(at, y, CodeValueInvalid, "is "+y.Value+", which is no number in JSON")
			n.kind = nullKind
		}
		n.text = literal
	default: // texts, and what YAML calls timestamps and binary
		n.kind, n.text = textKind, y.Value
	}
}

func (p *yamlParser) report(pointer string, y *yaml.Node, code, message string) {
	p.problems = append(p.problems, Problem{
		Pointer: pointer, Message: message, Code: code, Severity: Error, Line: y.Line, Column: y.Column,
	})
}

// jsonLiteral is the grammar of a JSON number (RFC 8259, 6).
var jsonLiteral = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// jsonNumber turns a YAML number into a JSON one without rounding: 0x1F, 0o17, 1_000, +1, .5 and 1. are spelt anew,
// all else stays. .inf and .nan have no JSON form.
func jsonNumber(literal string) (string, bool) {
	if jsonLiteral.MatchString(literal) {
		return literal, true
	}
	s := strings.TrimPrefix(strings.ReplaceAll(literal, "_", ""), "+")
	if i, ok := new(big.Int).SetString(s, 0); ok {
		return i.String(), true
	}
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	if strings.HasPrefix(s, ".") {
		s = "0" + s
	}
	if mantissa, exponent, found := strings.Cut(strings.ToLower(s), "e"); found {
		s = strings.TrimSuffix(mantissa, ".") + "e" + exponent
	}
	s = sign + strings.TrimSuffix(s, ".")
	return s, jsonLiteral.MatchString(s)
}

// yamlLine finds the line in a message of yaml.v3, which gives it nowhere else.
var yamlLine = regexp.MustCompile(`^yaml: line ([0-9]+): (.*)$`)

func yamlProblem(err error) Problem {
	p := Problem{Message: strings.TrimPrefix(err.Error(), "yaml: "), Code: CodeMalformed, Severity: Error}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message = fmt.Sprintf("line %d: %s", p.Line, m[2])
	}
	return p
}
