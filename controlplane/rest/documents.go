package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/sluice-gateway/sluice/controlplane/describe"
	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

func (s *Server) registerDocuments() {
	register(s, operation{id: "getApiAsyncapi", method: http.MethodGet, path: base + "/{api}/asyncapi", tag: tagAPIs,
		summary: "The AsyncAPI 3.0 document of an API's messages."}, s.document(describe.AsyncAPI))
	register(s, operation{id: "getApiOpenapi", method: http.MethodGet, path: base + "/{api}/openapi", tag: tagAPIs,
		summary: "The OpenAPI 3.1 document of the requests that reach an API over HTTP."}, s.document(describe.OpenAPI))
}

type documentInput struct {
	Target
	Consistency
	Gateway string `query:"gateway" maxLength:"2048" doc:"URL that clients reach the workers at, as http://gateway.example.com:8082; without it the document has variables"`
	Draft   bool   `query:"draft" doc:"Describe the definition as it is stored, also where another one is deployed"`
}

type documentOutput struct{ Body map[string]any }

// document answers with one of an API's documents.
func (s *Server) document(of func(*apidef.API, describe.Options) (map[string]any, error)) func(context.Context, *documentInput) (*documentOutput, error) {
	return func(ctx context.Context, in *documentInput) (*documentOutput, error) {
		st, err := s.state(ctx, in.Consistency)
		if err != nil {
			return nil, err
		}
		a, err := in.find(st)
		if err != nil {
			return nil, err
		}
		api, err := described(a, in.Draft)
		if err != nil {
			return nil, s.fail(err)
		}
		made, err := of(api, describe.Options{Gateway: in.Gateway})
		switch {
		case errors.Is(err, describe.ErrNothing):
			return nil, problem(http.StatusBadRequest, management.CodeAPIType, err.Error())
		case err != nil:
			return nil, problem(http.StatusBadRequest, management.CodeParameter, err.Error())
		}
		return &documentOutput{Body: made}, nil
	}
}

// described is the definition that workers serve, or else, or where the draft is asked for, the stored one.
func described(a *fsm.API, draft bool) (*apidef.API, error) {
	if a.Deployed == nil || draft {
		return compose(a, (*fsm.Plan).Served)
	}
	api := &apidef.API{}
	return api, json.Unmarshal(a.Deployed.Definition, api)
}
