package policies

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// seen is a message that was stored or delivered.
type seen struct {
	key, content string
	headers      map[string][]string
	null         bool
	lossy        []byte // where content may have lost bytes: the text that has them
}

func ofRecords(records []*kgo.Record) []seen {
	var out []seen
	for _, r := range records {
		s := seen{key: string(r.Key), content: string(r.Value), headers: map[string][]string{}, null: r.Value == nil}
		for _, h := range r.Headers {
			s.headers[h.Key] = append(s.headers[h.Key], string(h.Value))
		}
		out = append(out, s)
	}
	return out
}

func ofItems(items []item, text []byte) []seen {
	var out []seen
	for _, i := range items {
		key, _ := i.Metadata["key"].(string)
		out = append(out, seen{key: key, content: i.Content, headers: i.Headers, lossy: text})
	}
	return out
}

// compare returns what of the outcome is not as wanted.
func (w *Want) compare(o *outcome) []string {
	var bad []string
	add := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	if w.Status != 0 && o.status != w.Status {
		add("status %d, want %d; body %s", o.status, w.Status, o.body)
	}
	for _, b := range compareHeaders(o.header, w.Headers) {
		add("%s", b)
	}
	for _, b := range compareText("body", string(o.body), w.Body, w.BodyJSON, w.BodyMatches) {
		add("%s", b)
	}
	if w.Messages != nil {
		bad = append(bad, compareMessages("message", ofItems(o.items, o.text), *w.Messages)...)
	}
	if w.Error != nil {
		bad = append(bad, w.Error.compare(o)...)
	}
	return bad
}

// compareHeaders compares without regard to case of names.
func compareHeaders(got map[string][]string, want map[string]*Values) []string {
	var bad []string
	for _, name := range sortedNames(want) {
		var have []string
		for _, n := range slices.Sorted(maps.Keys(got)) {
			if strings.EqualFold(n, name) {
				have = append(have, got[n]...)
			}
		}
		switch v := want[name]; {
		case v == nil && have != nil:
			bad = append(bad, fmt.Sprintf("header %s is %q, want none", name, have))
		case v != nil && !slices.Equal(have, *v):
			bad = append(bad, fmt.Sprintf("header %s is %q, want %q", name, have, []string(*v)))
		}
	}
	return bad
}

func compareText(what, got string, text *string, asJSON any, matches string) []string {
	var bad []string
	if text != nil && got != *text {
		bad = append(bad, fmt.Sprintf("%s %q, want %q", what, got, *text))
	}
	if asJSON != nil {
		if diff := diffJSON(got, asJSON); diff != "" {
			bad = append(bad, fmt.Sprintf("%s %s (-want +got):\n%s", what, got, diff))
		}
	}
	if matches != "" {
		if re, err := regexp.Compile(matches); err != nil || !re.MatchString(got) {
			bad = append(bad, fmt.Sprintf("%s %q does not match %q, %v", what, got, matches, err))
		}
	}
	return bad
}

// diffJSON compares a text with a value of YAML, both as JSON sees them.
func diffJSON(got string, want any) string {
	var have, expect any
	if err := json.Unmarshal([]byte(got), &have); err != nil {
		return "not JSON: " + err.Error()
	}
	text, err := json.Marshal(want)
	if err == nil {
		err = json.Unmarshal(text, &expect)
	}
	if err != nil {
		return "the expectation is no JSON: " + err.Error()
	}
	return cmp.Diff(expect, have)
}

func compareMessages(what string, got []seen, want []Message) []string {
	var bad []string
	if len(got) != len(want) {
		bad = append(bad, fmt.Sprintf("%d %ss, want %d: %s", len(got), what, len(want), list(got)))
	}
	for i := range min(len(got), len(want)) {
		for _, b := range got[i].compare(&want[i]) {
			bad = append(bad, fmt.Sprintf("%s %d: %s", what, i, b))
		}
	}
	return bad
}

func list(messages []seen) string {
	var out []string
	for _, m := range messages {
		out = append(out, fmt.Sprintf("%q", m.content))
	}
	return strings.Join(out, ", ")
}

func (s *seen) compare(m *Message) []string {
	bad := append(compareHeaders(s.headers, m.Headers), compareText("content", s.content, m.Content, m.ContentJSON, m.ContentMatches)...)
	if m.Key != nil && s.key != *m.Key {
		bad = append(bad, fmt.Sprintf("key %q, want %q", s.key, *m.Key))
	}
	if m.Null && (!s.null && s.lossy == nil || s.content != "") {
		bad = append(bad, fmt.Sprintf("content %q, want none", s.content))
	}
	if m.Content64 != nil {
		want, err := m.bytes()
		switch {
		case err != nil:
			bad = append(bad, err.Error())
		case s.lossy != nil && !strings.Contains(string(s.lossy), "\ncontent: "+string(want)+"\nheaders: {"):
			bad = append(bad, fmt.Sprintf("content %q, want %q", s.lossy, want))
		case s.lossy == nil && s.content != string(want):
			bad = append(bad, fmt.Sprintf("content %s, want %s", base64.StdEncoding.EncodeToString([]byte(s.content)), *m.Content64))
		}
	}
	return bad
}

// compare compares a failure in a page, or one that is the answer.
func (f *Failure) compare(o *outcome) []string {
	key, text, status := o.header.Get(keyHeader), string(o.body), o.status
	if o.failure != nil {
		key, _ = o.failure.Metadata["key"].(string)
		code, _ := o.failure.Metadata["statusCode"].(float64)
		text, status = told(o.failure.Content), int(code)
	} else if _, templated := o.header[http.CanonicalHeaderKey(keyHeader)]; !templated {
		text = told(text)
	}
	if o.failure == nil && status < http.StatusBadRequest {
		return []string{fmt.Sprintf("no failure: status %d, body %s", status, o.body)}
	}
	var bad []string
	if f.Key != nil && key != *f.Key {
		bad = append(bad, fmt.Sprintf("error key %q, want %q; text %q", key, *f.Key, text))
	}
	if f.HTTPStatusCode != 0 && status != f.HTTPStatusCode {
		bad = append(bad, fmt.Sprintf("error status %d, want %d", status, f.HTTPStatusCode))
	}
	return append(bad, compareText("error message", text, f.Message, nil, f.MessageMatches)...)
}

// told is the message of a failure that is told without a template.
func told(body string) string {
	var plain struct {
		Message *string `json:"message"`
	}
	if err := json.Unmarshal([]byte(body), &plain); err == nil && plain.Message != nil {
		return *plain.Message
	}
	return body
}

// bytes is the content as it is stored.
func (m *Message) bytes() ([]byte, error) {
	switch {
	case m.Null:
		return nil, nil
	case m.Content64 != nil:
		return base64.StdEncoding.DecodeString(*m.Content64)
	case m.ContentJSON != nil:
		return json.Marshal(m.ContentJSON)
	case m.Content != nil:
		return []byte(*m.Content), nil
	}
	return []byte{}, nil
}

func sortedNames(m map[string]*Values) []string { return slices.Sorted(maps.Keys(m)) }
