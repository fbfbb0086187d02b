package apidef

import (
	"bytes"
	"fmt"
	"regexp"

	"gopkg.in/yaml.v3"
)

// yaml is the node as YAML text, indented by two as people write manifests.
func (n *node) yaml() ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n.yamlNode()); err != nil {
		return nil, fmt.Errorf("write yaml: %w", err)
	}
	return b.Bytes(), nil
}

func (n *node) yamlNode() *yaml.Node {
	switch n.kind {
	case nullKind:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case flagKind:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: n.text}
	case numberKind:
		return yamlNumber(n.text)
	case textKind:
		return yamlText(n.text)
	case listKind:
		y := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range n.items {
			y.Content = append(y.Content, item.yamlNode())
		}
		return y
	default:
		y := &yaml.Node{Kind: yaml.MappingNode}
		for _, e := range n.entries {
			y.Content = append(y.Content, yamlText(e.name), e.value.yamlNode())
		}
		return y
	}
}

// yamlNumber keeps the literal. Where YAML would take it for a text (1e999 overflows what it reads numbers with) the
// tag is written out.
func yamlNumber(literal string) *yaml.Node {
	y := &yaml.Node{Kind: yaml.ScalarNode, Value: literal}
	if tag := y.ShortTag(); tag != "!!int" && tag != "!!float" {
		y.Tag = "!!float"
	}
	return y
}

var (
	// plainText needs no quotes in any version of YAML, unless it is one of yamlWords.
	plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_/.-]*( [A-Za-z0-9_/.-]+)*$`)
	// yamlWords mean something else than themselves to YAML 1.1, which Kubernetes reads.
	yamlWords = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null)$`)
)

func yamlText(s string) *yaml.Node {
	y := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
	if plainText.MatchString(s) && !yamlWords.MatchString(s) {
		y.Style = 0
	}
	return y
}
