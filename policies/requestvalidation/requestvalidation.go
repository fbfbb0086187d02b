// Package requestvalidation is the policy "policy-request-validation" (policies.md 5.3): requests are held against rules.
//
// It stands in the request phase. Each rule evaluates its input and holds it against one constraint: NOT_NULL, MIN, MAX, MAIL, DATE (a
// pattern of Java's SimpleDateFormat, strictly), PATTERN (a regular expression that is found anywhere), SIZE or ENUM. An input that is null is
// passed over where the rule is not required. All that do not hold are told at once.
//
// The failure has the configured status, the key REQUEST_VALIDATION_INVALID, the parameter violations, and as its text a JSON object with
// message and constraints. Constant parameters are checked at deploy; computed ones that make no sense break their rule. Regular
// expressions are Java's without what takes more than linear time.
package requestvalidation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of policy-request-validation.
type Config struct {
	// Status is that of the failure, as text or number. Default 400.
	Status string `json:"status"`
	// Rules are what requests are held against. None: everything passes.
	Rules []Rule `json:"rules"`
	// Scope has no effect: bodies are there in the request phase.
	Scope string `json:"scope"`
}

// Rule is one rule.
type Rule struct {
	// Input is a text with expressions: what is held against the constraint. Required.
	Input string `json:"input"`
	// IsRequired has the rule count also where the input is null. Default true.
	IsRequired *bool `json:"isRequired"`
	// Constraint is what must hold. Required.
	Constraint Constraint `json:"constraint"`
}

// Constraint is what an input must fulfil.
type Constraint struct {
	// Type is NOT_NULL, MIN, MAX, MAIL, DATE, PATTERN, SIZE or ENUM. Required.
	Type string `json:"type"`
	// Parameters are a number for MIN and MAX, a pattern for DATE and PATTERN, two numbers for SIZE, the values of ENUM; they may hold
	// expressions.
	Parameters []string `json:"parameters"`
	// Message is what is told where it does not hold, instead of the type's own text; %s is the input, then the parameters.
	Message string `json:"message"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "policy-request-validation", Aliases: []string{"request-validation"}, Name: "Request Validation",
	Phases: policies.Request, Config: &Config{Status: "400"}, Compile: compile}

// texts are what is told where a constraint does not hold.
var texts = map[string]string{
	"NOT_NULL": "'%s' can not be null.", "MIN": "'%s' must be higher or equals to '%s'", "MAX": "'%s' must be lower or equals to '%s'",
	"MAIL": "%s is not a valid email.", "DATE": "'%s' is not valid (format: '%s')", "PATTERN": "'%s' is not valid (pattern: '%s')",
	"SIZE": "'%s' length must be higher or equals to '%s' and lower or equals to '%s'", "ENUM": "'%s' not included in ENUM",
}

// least is how many parameters a constraint needs.
var least = map[string]int{"MIN": 1, "MAX": 1, "DATE": 1, "PATTERN": 1, "SIZE": 2, "ENUM": 1}

var mail = regexp.MustCompile(`(?i)^[A-Z0-9._%+-]+(@|%40)[A-Z0-9.-]+\.[A-Z]{2,6}$`)

type rule struct {
	Rule
	input      *policies.Expression
	parameters []*policies.Expression
	pattern    *regexp.Regexp // of a constant PATTERN
	text       string
}

type policy struct {
	status int
	rules  []rule
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := Config{Status: "400"}
	problems := settings.Decode(cfg, &c)
	status, err := strconv.Atoi(c.Status)
	if err != nil || http.StatusText(status) == "" {
		problems = append(problems, settings.Invalid("/status", "must be the code of an HTTP status"))
	}
	p := &policy{status: status}
	for i := range c.Rules {
		p.rules = append(p.rules, compileRule(&problems, fmt.Sprintf("/rules/%d", i), c.Rules[i]))
	}
	return p, problems
}

func compileRule(problems *apidef.Problems, at string, def Rule) rule {
	r := rule{Rule: def, text: def.Constraint.Message}
	fail := func(pointer, text string) { *problems = append(*problems, settings.Invalid(at+pointer, text)) }
	if strings.TrimSpace(def.Input) == "" {
		fail("/input", "is required: what is looked at")
	} else {
		r.input = policies.ParseAt(problems, at+"/input", def.Input)
	}
	known, ok := texts[def.Constraint.Type]
	if !ok {
		fail("/constraint/type", "must be one of: NOT_NULL, MIN, MAX, MAIL, DATE, PATTERN, SIZE, ENUM")
		return r
	}
	if r.text == "" {
		r.text = known
	}
	if n := least[def.Constraint.Type]; len(def.Constraint.Parameters) < n {
		fail("/constraint/parameters", fmt.Sprintf("%s needs %d", def.Constraint.Type, n))
		return r
	}
	constant := true
	for j, text := range def.Constraint.Parameters {
		e := policies.ParseAt(problems, fmt.Sprintf("%s/constraint/parameters/%d", at, j), text)
		if e == nil {
			return r
		}
		constant = constant && e.Constant()
		r.parameters = append(r.parameters, e)
	}
	if !constant {
		return r
	}
	if err := r.check(); err != nil {
		fail("/constraint/parameters/0", err.Error())
	}
	return r
}

// check says what is wrong with constant parameters, and keeps a pattern.
func (r *rule) check() (err error) {
	ps := r.Constraint.Parameters
	switch r.Constraint.Type {
	case "MIN", "MAX", "SIZE":
		for _, p := range ps {
			if _, err := number(p); err != nil {
				return err
			}
		}
	case "DATE":
		_, err = layout(ps[0])
	case "PATTERN":
		r.pattern, err = el.CompileRegexp(ps[0], false)
	}
	return err
}

// number reads a number as the reference does: without what is behind the point.
func number(text string) (int64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || f < -1<<62 || f > 1<<62 {
		return 0, fmt.Errorf("%.100q is no number", text)
	}
	return int64(f), nil
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	var violations []string
	for i := range p.rules {
		r := &p.rules[i]
		input, present, err := r.input.TextOrNull(c)
		if err != nil {
			violations = append(violations, "Unable to evaluate expression: "+r.Input+" -> It might be related to an invalid request body")
			break
		}
		if !present && r.IsRequired != nil && !*r.IsRequired {
			continue
		}
		if parameters, ok := r.evaluated(c); !ok || !r.holds(input, present, parameters) {
			violations = append(violations, r.told(input, parameters))
		}
	}
	if len(violations) == 0 {
		return nil
	}
	body, err := json.Marshal(struct {
		Message     string   `json:"message"`
		Constraints []string `json:"constraints"`
	}{"Request is not valid according to constraint rules", violations})
	if err != nil {
		return fmt.Errorf("tell of violations: %w", err)
	}
	return &message.Failure{Status: p.status, Key: "REQUEST_VALIDATION_INVALID", Message: string(body), Parameters: map[string]any{"violations": violations}}
}

// told is the text for an input that does not fit.
func (r *rule) told(input string, parameters []string) string {
	args := make([]any, 0, 1+len(parameters))
	args = append(args, input)
	for _, p := range parameters {
		args = append(args, p)
	}
	return fmt.Sprintf(r.text, args[:min(len(args), strings.Count(r.text, "%s"))]...)
}

func (r *rule) evaluated(c *policies.Context) (out []string, ok bool) {
	for _, e := range r.parameters {
		text, err := e.Text(c)
		if err != nil {
			return out, false
		}
		out = append(out, text)
	}
	return out, true
}

// holds tells whether an input fulfils the constraint. One that is null fulfils none.
func (r *rule) holds(input string, present bool, parameters []string) bool {
	if !present {
		return false
	}
	switch r.Constraint.Type {
	case "NOT_NULL":
		return strings.TrimSpace(input) != ""
	case "MAIL":
		return mail.MatchString(input)
	case "ENUM":
		return slices.Contains(parameters, input)
	case "MIN", "MAX":
		n, err1 := number(input)
		bound, err2 := number(parameters[0])
		return err1 == nil && err2 == nil && (n >= bound) == (r.Constraint.Type == "MIN" || n == bound)
	case "SIZE":
		low, err1 := number(parameters[0])
		high, err2 := number(parameters[1])
		n := int64(utf8.RuneCountInString(input))
		return err1 == nil && err2 == nil && n >= low && n <= high
	case "DATE":
		l, err := layout(parameters[0])
		if err != nil {
			return false
		}
		_, err = time.Parse(l, input)
		return err == nil
	}
	re := r.pattern
	if re == nil {
		var err error
		if re, err = el.CompileRegexp(parameters[0], false); err != nil {
			return false
		}
	}
	return re.MatchString(input)
}

// fields are those of Java's date patterns that Go has, the longest first.
var fields = []struct{ java, layout string }{
	{"yyyy", "2006"}, {"uuuu", "2006"}, {"yy", "06"}, {"MMMM", "January"}, {"MMM", "Jan"}, {"MM", "01"}, {"M", "1"}, {"dd", "02"}, {"d", "2"},
	{"EEEE", "Monday"}, {"EEE", "Mon"}, {"HH", "15"}, {"hh", "03"}, {"h", "3"}, {"mm", "04"}, {"m", "4"}, {"ss", "05"}, {"s", "5"},
	{"SSS", "000"}, {"a", "PM"}, {"XXX", "Z07:00"}, {"XX", "Z0700"}, {"X", "Z07"}, {"Z", "-0700"}, {"z", "MST"},
}

// layout writes a date pattern of Java as one of Go.
func layout(java string) (string, error) {
	var b strings.Builder
	for rest := java; rest != ""; {
		if rest[0] == '\'' {
			text, after, closed := strings.Cut(rest[1:], "'")
			if !closed {
				return "", fmt.Errorf("%.100q is no date pattern: a quote is open", java)
			}
			if text == "" {
				text = "'"
			}
			b.WriteString(text)
			rest = after
			continue
		}
		i := slices.IndexFunc(fields, func(f struct{ java, layout string }) bool { return strings.HasPrefix(rest, f.java) })
		switch {
		case i >= 0:
			b.WriteString(fields[i].layout)
			rest = rest[len(fields[i].java):]
		case rest[0] >= 'a' && rest[0] <= 'z', rest[0] >= 'A' && rest[0] <= 'Z':
			return "", fmt.Errorf("%.100q is no date pattern that is served: %q is unknown", java, rest[:1])
		default:
			b.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	return b.String(), nil
}

var _ policies.RequestPolicy = (*policy)(nil)
