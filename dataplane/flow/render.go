package flow

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// defaultTemplates is the key of the templates for failures that have none of their own (spec 1.12).
const defaultTemplates = "DEFAULT"

// anyType is the media type of a template for clients that accept none of the others.
const anyType = "*/*"

// template is a response template, compiled (spec 5.7).
type template struct {
	mediaType string
	status    int
	headers   []field
	body      *policies.Expression // nil: none
	// logged has the failure's key in the log.
	logged bool
}

type field struct {
	name  string
	value *policies.Expression
}

// templates compiles the response templates.
func (b *builder) templates() {
	b.api.templates = map[string][]template{}
	for _, key := range slices.Sorted(maps.Keys(b.def.ResponseTemplates)) {
		byType := b.def.ResponseTemplates[key]
		for _, mediaType := range slices.Sorted(maps.Keys(byType)) {
			def := byType[mediaType]
			at := "/responseTemplates/" + escape.Replace(key) + "/" + escape.Replace(mediaType)
			t := template{mediaType: strings.ToLower(mediaType), status: def.Status, logged: def.PropagateErrorKeyToLogs}
			if t.body = b.expression(at+"/body", def.Body); t.body != nil {
				b.api.templatesUse.Merge(t.body.Uses())
			}
			for _, name := range slices.Sorted(maps.Keys(def.Headers)) {
				if v := b.expression(at+"/headers/"+escape.Replace(name), def.Headers[name]); v != nil {
					t.headers = append(t.headers, field{name, v})
					b.api.templatesUse.Merge(v.Uses())
				}
			}
			b.api.templates[key] = append(b.api.templates[key], t)
		}
	}
}

// escape writes a name as a JSON pointer token (RFC 6901 section 3).
var escape = strings.NewReplacer("~", "~0", "/", "~1")

// fail answers the exchange with a failure (spec 5.7).
func (a *API) fail(x *exchange.Exchange, err error) {
	f := &message.Failure{Status: fasthttp.StatusInternalServerError, Message: fasthttp.StatusMessage(fasthttp.StatusInternalServerError), Err: err}
	errors.As(err, &f)
	http := x.HTTP
	if !a.renderTemplate(x, f) {
		http.Response.ResetBody()
		http.SetStatusCode(f.Status)
		if f.Message != "" {
			a.renderPlain(http, f)
		}
		if f.Status < 400 || f.Status > 499 {
			http.SetConnectionClose()
		}
	}
}

func (a *API) renderPlain(http *fasthttp.RequestCtx, f *message.Failure) {
	if !acceptsJSON(http.Request.Header.Peek(fasthttp.HeaderAccept)) {
		http.Response.Header.SetContentType("text/plain")
		http.SetBodyString(f.Message)
		return
	}
	body, err := json.Marshal(struct {
		Message string `json:"message"`
		Status  int    `json:"http_status_code"`
	}{f.Message, f.Status})
	if err != nil {
		panic(err) // a text and a number are always JSON
	}
	http.Response.Header.SetContentType("application/json")
	http.SetBody(body)
}

// acceptsJSON tells whether application/json or */* stands alone in an Accept header (spec 5.7).
func acceptsJSON(accept []byte) bool {
	for part := range strings.SplitSeq(string(accept), ",") {
		if p := strings.TrimSpace(part); p == "application/json" || p == anyType {
			return true
		}
	}
	return false
}

// renderTemplate answers with the template for a failure; false: it has none, nor has a failure without key ever.
func (a *API) renderTemplate(x *exchange.Exchange, f *message.Failure) bool {
	if f.Key == "" || len(a.templates) == 0 {
		return false
	}
	accept := x.HTTP.Request.Header.Peek(fasthttp.HeaderAccept)
	t := a.templateFor(f, string(accept))
	if t == nil {
		return false
	}
	http := x.HTTP
	var c policies.Context
	c.Init(x, a.engine.surroundings)
	c.SetFailure(f)
	http.Response.ResetBody()
	http.SetStatusCode(f.Status)
	if t.status != 0 {
		http.SetStatusCode(t.status)
	}
	http.SetConnectionClose()
	if t.logged {
		a.log.Info("answered by a response template", "key", f.Key, "status", http.Response.StatusCode())
	}
	if err := t.write(http, &c, accept); err != nil {
		a.log.Warn("response template cannot be rendered", "key", f.Key, "err", err)
		http.Response.ResetBody()
		http.SetStatusCode(fasthttp.StatusInternalServerError)
	}
	return true
}

// templateFor is the template for a failure; nil: none.
func (a *API) templateFor(f *message.Failure, accept string) *template {
	if t := chooseTemplate(a.templates[f.Key], accept); t != nil {
		return t
	}
	return chooseTemplate(a.templates[defaultTemplates], accept)
}

// teller renders failures that end a stream by the response templates of the API (spec 2.9). The request is gone by then, so what
// the templates read of it is kept.
type teller struct {
	api     *API
	context policies.Context
	accept  string
}

// teller returns what renders the failures of a stream; nil: no template could.
func (a *API) teller(x *exchange.Exchange) *teller {
	if len(a.templates) == 0 || x.HTTP == nil {
		return nil
	}
	t := &teller{api: a, accept: string(x.HTTP.Request.Header.Peek(fasthttp.HeaderAccept))}
	t.context.Init(x, a.engine.surroundings)
	t.context.Keep(a.templatesUse)
	return t
}

// told is err as a stream shows it.
func (t *teller) told(err error) error {
	var f *message.Failure
	if t == nil || !errors.As(err, &f) || f.Key == "" {
		return err
	}
	by := t.api.templateFor(f, t.accept)
	if by == nil {
		return err
	}
	out := *f
	t.context.SetFailure(f)
	shown, err := by.show(&t.context, f, t.accept)
	if err != nil {
		t.api.log.Warn("response template cannot be rendered", "key", f.Key, "err", err)
		shown = &message.Shown{Status: fasthttp.StatusInternalServerError, ContentType: "text/plain"}
	}
	out.Shown = shown
	return &out
}

// show renders a failure for a stream.
func (t *template) show(c *policies.Context, f *message.Failure, accept string) (*message.Shown, error) {
	out := &message.Shown{Status: f.Status, ContentType: accept}
	if t.status != 0 {
		out.Status = t.status
	}
	if accept == "" {
		out.ContentType = "text/plain"
	}
	if t.body != nil {
		text, err := t.body.Text(c)
		if err != nil {
			return nil, err
		}
		out.Content = []byte(text)
	}
	for _, h := range t.headers {
		text, err := h.value.Text(c)
		if err != nil {
			return nil, err
		}
		out.Headers = append(out.Headers, message.Header{Name: h.name, Value: []byte(text)})
	}
	return out, nil
}

func (t *template) write(http *fasthttp.RequestCtx, c *policies.Context, accept []byte) error {
	if t.body != nil {
		text, err := t.body.Text(c)
		if err != nil {
			return err
		}
		http.SetBodyString(text)
		http.Response.Header.SetContentTypeBytes(accept)
		if len(accept) == 0 {
			http.Response.Header.SetContentType("text/plain")
		}
	}
	for _, h := range t.headers {
		text, err := h.value.Text(c)
		if err != nil {
			return err
		}
		http.Response.Header.Set(h.name, text)
	}
	return nil
}

// chooseTemplate returns the template for what a client accepts: the types that it names by their quality, then the one for
// all; nil: none.
func chooseTemplate(of []template, accept string) *template {
	for _, want := range byQuality(accept) {
		for i := range of {
			if of[i].mediaType == want && want != anyType {
				return &of[i]
			}
		}
	}
	for i := range of {
		if of[i].mediaType == anyType {
			return &of[i]
		}
	}
	return nil
}

// maxRanges bounds how many media ranges of one Accept header are looked at.
const maxRanges = 32

// byQuality returns the media types of an Accept header, the best first, without those that it refuses.
func byQuality(accept string) []string {
	type weighed struct {
		name string
		q    string
	}
	var all []weighed
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		w := weighed{strings.ToLower(strings.TrimSpace(name)), "1"}
		for p := range strings.SplitSeq(parameters, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				w.q = strings.TrimRight(strings.TrimRight(v, "0"), ".")
			}
		}
		if w.q != "" && w.q != "0" && w.name != "" {
			all = append(all, w)
		}
		if len(all) == maxRanges {
			break
		}
	}
	// "1" and decimals of the form "0.5" stand in their order as texts.
	slices.SortStableFunc(all, func(a, b weighed) int { return strings.Compare(b.q, a.q) })
	out := make([]string, len(all))
	for i, w := range all {
		out[i] = w.name
	}
	return out
}
