// Package cloudevents is the policy "cloud-events" (policies.md 9.1): it wraps the content of messages in a CloudEvents 1.0 event in
// the structured JSON form.
//
// It runs in the phases publish and subscribe. The attributes id, type, source and subject are texts with expressions; what is empty or
// null is left out, but an event needs id, type and source. datacontenttype is the message's Content-Type, where it has one. JSON content
// (by its type, or where there is no type and it is JSON) is embedded as "data"; other content that is UTF-8 is "data" as a text, and
// the rest "data_base64". The new Content-Type is application/cloudevents+json, as the CloudEvents JSON format says (section 3); the
// reference's documentation leaves that open. An event gets no time: the documentation has none.
//
// A message without id, type or source, one whose attributes cannot be made, and JSON that is too large are a failure with status 500
// and the key CLOUD_EVENTS_TRANSFORMATION_ERROR, "Unable to create cloud-events object".
package cloudevents

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/body"
	"github.com/sluice-gateway/sluice/policies/jsondoc"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of cloud-events. All texts may hold expressions.
type Config struct {
	// ID names the event. Default {#message.headers['ce_id']}.
	ID string `json:"id"`
	// Type is the event's type. Default {#message.headers['ce_type']}.
	Type string `json:"type"`
	// Source is where the event comes from. Default {#message.headers['ce_source']}.
	Source string `json:"source"`
	// Subject is what the event is about. Default {#message.headers['ce_subject']}; an event may have none.
	Subject string `json:"subject"`
	// Extensions are more attributes, by their names: lower-case letters and digits.
	Extensions map[string]string `json:"extensions"`
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "cloud-events",
	Name:    "Cloud Events",
	Phases:  policies.PerMessage,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config {
	header := func(name string) string {
		return "{#message.headers['" + name + "'] != null ? #message.headers['" + name + "'][0] : ''}"
	}
	return &Config{ID: header("ce_id"), Type: header("ce_type"), Source: header("ce_source"), Subject: header("ce_subject")}
}

// attribute is one attribute of the event.
type attribute struct {
	name     string
	value    *policies.Expression
	required bool
}

type policy struct{ attributes []attribute }

// reserved are the names that extensions cannot have.
var reserved = []string{"id", "type", "source", "subject", "specversion", "datacontenttype", "dataschema", "time", "data"}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	p := &policy{}
	var uses policies.Uses
	add := func(pointer, name, text string, required bool) {
		e, err := policies.ParseExpression(text)
		if err != nil {
			problems = append(problems, settings.Invalid(pointer, err.Error()))
			return
		}
		uses.Merge(e.Uses())
		p.attributes = append(p.attributes, attribute{name, e, required})
	}
	add("/id", "id", c.ID, true)
	add("/source", "source", c.Source, true)
	add("/type", "type", c.Type, true)
	add("/subject", "subject", c.Subject, false)
	for _, name := range slices.Sorted(maps.Keys(c.Extensions)) {
		at := "/extensions/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || name == "" || slices.Contains(reserved, name) {
			problems = append(problems, settings.Invalid(at, "must have a name of lower-case letters and digits that no attribute of CloudEvents has"))
			continue
		}
		add(at, name, c.Extensions[name], false)
	}
	return &body.Policy{Work: p.work, Fail: failure, ContentType: "application/cloudevents+json", Empty: true,
		Does: policies.Traits{Shared: !uses.PerExchange(), Uses: uses}}, problems
}

func failure(err error) error {
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "CLOUD_EVENTS_TRANSFORMATION_ERROR",
		Message: "Unable to create cloud-events object", Err: err}
}

func (p *policy) work(_ context.Context, c *policies.Context, in body.Input) ([]byte, bool, error) {
	event := new(jsondoc.Object)
	event.Set("specversion", "1.0")
	for i := range p.attributes {
		a := &p.attributes[i]
		text, err := a.value.Text(c)
		if err != nil {
			return nil, false, fmt.Errorf("the attribute %s: %w", a.name, err)
		}
		if text != "" {
			event.Set(a.name, text)
		} else if a.required {
			return nil, false, fmt.Errorf("the attribute %s is empty, and an event must have it", a.name)
		}
	}
	if in.ContentType != "" {
		event.Set("datacontenttype", in.ContentType)
	}
	if err := data(event, in); err != nil {
		return nil, false, err
	}
	out, err := jsondoc.Append(make([]byte, 0, len(in.Content)+256), event)
	return out, true, err
}

// data adds the content, where there is any.
func data(event *jsondoc.Object, in body.Input) error {
	isJSON := strings.Contains(strings.ToLower(in.ContentType), "json")
	switch {
	case len(in.Content) == 0:
	case isJSON || in.ContentType == "" && json.Valid(in.Content):
		doc, err := jsondoc.Parse(in.Content)
		if err != nil {
			return err
		}
		event.Set("data", doc)
	case utf8.Valid(in.Content):
		event.Set("data", string(in.Content))
	default:
		event.Set("data_base64", base64.StdEncoding.EncodeToString(in.Content))
	}
	return nil
}
