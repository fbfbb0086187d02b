package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// encodeJSON writes for people: indented, and with < and & as they are.
func encodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return nil
}

// describe is the frame of the OpenAPI document.
func (s *Server) describe() huma.Config {
	version := s.cfg.Version
	if version == "" {
		version = "dev"
	}
	format := huma.Format{Marshal: encodeJSON, Unmarshal: json.Unmarshal}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Sluice management API", Version: version,
				Description: "Create, deploy and watch APIs. Every call is authenticated, this document included: send the admin token as a bearer " +
					"token, or as the password of basic authentication with any user. Paths are accepted with and without a trailing slash. " +
					"Reads are linearizable; `consistency=stale` reads what the answering node has. Errors are described by `Error`.",
			},
			Security: []map[string][]string{{"bearer": {}}, {"basic": {}}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer"},
					"basic":  {Type: "http", Scheme: "basic"},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{asProblem},
	}
}

// schemaName names schemas by their types; a definition's by what they are part of, since answers have an API and a
// Plan of their own.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == reflect.TypeFor[apidef.API]().PkgPath() {
		return name + "Definition"
	}
	return name
}

// operation is a route and how it is described.
type operation struct {
	id, method, path string
	summary          string
	tag              string
	status           int // of success
	body             any // a value of the body's type; nil: none
	bodyRequired     bool
}

// register adds a handler and describes it: its parameters and answer from its types, its body from operation.body,
// since bodies are read before (see withBody), and its errors as Error.
func register[I, O any](s *Server, o operation, h func(context.Context, *I) (*O, error)) {
	huma.Register(s.api, huma.Operation{
		OperationID: o.id, Method: o.method, Path: prefix + o.path, Summary: o.summary, Tags: []string{o.tag}, DefaultStatus: o.status,
		Errors: []int{http.StatusBadRequest},
	}, h)
	oapi := s.api.OpenAPI()
	op := operationAt(oapi.Paths[prefix+o.path], o.method)
	op.Errors = nil
	op.Responses = keepSuccess(op.Responses)
	op.Responses["default"] = &huma.Response{
		Description: "Error",
		Content:     jsonOf(oapi.Components.Schemas.Schema(reflect.TypeFor[management.Error](), true, "Error")),
	}
	if o.body != nil {
		schema := oapi.Components.Schemas.Schema(reflect.TypeOf(o.body), true, o.id+"Body")
		content := jsonOf(schema)
		content["application/yaml"] = &huma.MediaType{Schema: schema}
		op.RequestBody = &huma.RequestBody{Required: o.bodyRequired, Content: content}
	}
}

func jsonOf(schema *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: schema}}
}

func operationAt(item *huma.PathItem, method string) *huma.Operation {
	return map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete,
	}[method]
}

// keepSuccess drops the errors that huma describes by its own model.
func keepSuccess(in map[string]*huma.Response) map[string]*huma.Response {
	out := map[string]*huma.Response{}
	for status, r := range in {
		if status < "400" {
			out[status] = r
		}
	}
	return out
}

// serveOpenAPI renders the document once and serves it.
func (s *Server) serveOpenAPI() error {
	oapi := s.api.OpenAPI()
	for name, schema := range oapi.Components.Schemas.Map() {
		if name == "ErrorModel" || name == "ErrorDetail" {
			delete(oapi.Components.Schemas.Map(), name)
			continue
		}
		if closed, ok := schema.AdditionalProperties.(bool); ok && !closed {
			schema.AdditionalProperties = nil // unknown members are kept and returned with a warning
		}
	}
	asJSON, err := json.MarshalIndent(oapi, "", "  ")
	if err != nil {
		return fmt.Errorf("render OpenAPI: %w", err)
	}
	asYAML, err := oapi.YAML()
	if err != nil {
		return fmt.Errorf("render OpenAPI: %w", err)
	}
	serve := func(path, media string, content []byte) {
		s.mux.HandleFunc("GET "+prefix+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			_, _ = w.Write(content) // the client is gone if it fails
		})
	}
	serve("/openapi.json", "application/vnd.oai.openapi+json;version=3.1", asJSON)
	serve("/openapi.yaml", "application/vnd.oai.openapi;version=3.1", asYAML)
	return nil
}
