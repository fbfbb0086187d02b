package policies

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// Case is one row of a table.
type Case struct {
	Name string `yaml:"name"`
	// Policy is the one that is shown; empty: the only one of the table's package.
	Policy string `yaml:"policy"`
	// Phase is request, response, publish or subscribe.
	Phase         string         `yaml:"phase"`
	Configuration map[string]any `yaml:"configuration"`
	Step          Step           `yaml:"step"`
	// Flow are steps that run before it in the same phase, Request those that run in the request phase.
	Flow              []map[string]any          `yaml:"flow"`
	RequestFlow       []map[string]any          `yaml:"requestFlow"`
	Properties        map[string]string         `yaml:"properties"`
	Resources         []map[string]any          `yaml:"resources"`
	ResponseTemplates map[string]map[string]any `yaml:"responseTemplates"`
	Request           Request                   `yaml:"request"`
	// Messages are what the endpoint holds, of subscribe and of GET; default: one of content {}.
	Messages []Message `yaml:"messages"`
	Want     *Want     `yaml:"want"`
	// Invalid are the errors that the definition is refused with when it is saved, instead of Want: all of them.
	Invalid []Problem `yaml:"invalid"`
}

// Step is what the step has beside its policy and configuration.
type Step struct {
	Condition        string `yaml:"condition"`
	MessageCondition string `yaml:"messageCondition"`
	FailureMode      string `yaml:"failureMode"`
}

// Request is what the client sends.
type Request struct {
	Method  string             `yaml:"method"` // default POST, of response and subscribe GET
	Path    string             `yaml:"path"`   // behind the API's
	Query   string             `yaml:"query"`
	Headers map[string]*Values `yaml:"headers"`
	Body    string             `yaml:"body"`
	Body64  []byte             `yaml:"-"`
	// RawBody64 is Body in base64.
	RawBody64 string `yaml:"body64"`
	Remote    string `yaml:"remote"` // the client's address, of 127.0.0.0/8
}

// Message is a message that the endpoint holds, or that is expected. Of an expected one only what is written is compared.
type Message struct {
	Key            *string            `yaml:"key"`
	Headers        map[string]*Values `yaml:"headers"` // null: absent
	Content        *string            `yaml:"content"`
	Content64      *string            `yaml:"content64"`
	ContentJSON    any                `yaml:"contentJSON"`
	ContentMatches string             `yaml:"contentMatches"`
	// Null is a message without content, which Kafka calls a tombstone.
	Null bool `yaml:"null"`
}

// Want is what comes of it; only what is written is compared.
type Want struct {
	Status      int                `yaml:"status"`
	Headers     map[string]*Values `yaml:"headers"` // null: absent
	Body        *string            `yaml:"body"`
	BodyJSON    any                `yaml:"bodyJSON"`
	BodyMatches string             `yaml:"bodyMatches"`
	// Stored is what reached the endpoint.
	Stored *[]Message `yaml:"stored"`
	// DeadLetters are what reached the endpoint of dead letters.
	DeadLetters *[]Message `yaml:"deadLetters"`
	// Messages are what the subscriber got.
	Messages *[]Message `yaml:"messages"`
	Error    *Failure   `yaml:"error"`
}

// Failure is what the client is told of a failure: in the page of a subscriber, or as the answer. The latter has no key of its
// own, so the API gets a template that shows it, unless the case has templates.
type Failure struct {
	Key            *string `yaml:"key"`
	Message        *string `yaml:"message"`
	MessageMatches string  `yaml:"messageMatches"`
	HTTPStatusCode int     `yaml:"httpStatusCode"`
}

// Problem is an error of a definition. Pointer is relative to the configuration of the step, or else into the definition.
type Problem struct {
	Pointer  string `yaml:"pointer"`
	Contains string `yaml:"contains"`
}

// Values are the values of a header: a text, or a list of them.
type Values []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (v *Values) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return n.Decode((*[]string)(v))
	}
	var one string
	err := n.Decode(&one)
	*v = Values{one}
	return err
}

// table is the cases of a package.
type table struct {
	pkg   string
	cases []*Case
}

// tables reads all tables.
func tables(t *testing.T) []*table {
	t.Helper()
	files, err := filepath.Glob("../../policies/*/testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	var out []*table
	for _, file := range files {
		pkg := filepath.Base(filepath.Dir(filepath.Dir(file)))
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := read(data, func(name string) (string, error) { return fixtureValue(t, name) })
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if n := len(out); n == 0 || out[n-1].pkg != pkg {
			out = append(out, &table{pkg: pkg})
		}
		last := out[len(out)-1]
		last.cases = append(last.cases, cases...)
	}
	for _, tab := range out {
		if err := tab.check(); err != nil {
			t.Fatalf("tables of %s: %v", tab.pkg, err)
		}
	}
	return out
}

// read decodes a table, strictly: an expectation with a typing error would expect nothing.
func read(data []byte, fixture func(string) (string, error)) ([]*Case, error) {
	text, err := replaceFixtures(string(data), fixture)
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	var out []*Case
	if err := dec.Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return out, nil
}

func replaceFixtures(text string, value func(string) (string, error)) (string, error) {
	const mark = "${fixture."
	var out bytes.Buffer
	for {
		before, rest, found := strings.Cut(text, mark)
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("%s without }", mark)
		}
		v, err := value(name)
		if err != nil {
			return "", err
		}
		out.WriteString(v)
		text = after
	}
}

var phases = []string{"request", "response", "publish", "subscribe"}

func (tab *table) check() error {
	seen := map[string]bool{}
	for _, c := range tab.cases {
		if c.Policy == "" {
			of := policiesOf(tab.pkg)
			if len(of) != 1 {
				return fmt.Errorf("case %q: say the policy: the package has %q", c.Name, of)
			}
			c.Policy = of[0]
		}
		switch {
		case c.Name == "" || seen[c.Name]:
			return fmt.Errorf("case %q: the name is empty or taken", c.Name)
		case !slices.Contains(phases, c.Phase):
			return fmt.Errorf("case %q: %q is no phase", c.Name, c.Phase)
		case (c.Want == nil) == (len(c.Invalid) == 0):
			return fmt.Errorf("case %q: needs want or invalid", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}
