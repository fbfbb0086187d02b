package client

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/proto/management"
)

func newDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe",
		Short: "Describe an API for other tools, as AsyncAPI or OpenAPI",
		Long: `Make a document of what an API serves: its channels and messages as AsyncAPI 3.0, its HTTP requests as OpenAPI
3.1. It tells of the definition that is deployed, and of the stored one where none is.

` + exitHelp,
		Example: example("sluice describe asyncapi orders", "sluice describe openapi orders --gateway https://gateway.example.com -o yaml"),
	}
	return group(cmd,
		newDocument("asyncapi", "Write the AsyncAPI 3.0 document of an API's messages"),
		newDocument("openapi", "Write the OpenAPI 3.1 document of an API's HTTP requests"))
}

func newDocument(kind, short string) *cobra.Command {
	var o rest.DocumentOptions
	cmd := &cobra.Command{Use: kind + " API", Short: short,
		Example: example("sluice describe "+kind+" orders", "sluice describe "+kind+" orders --draft -o yaml > "+kind+".yaml")}
	cmd.Flags().StringVar(&o.Gateway, "gateway", "", "URL that clients reach the workers at; without it the document has variables")
	cmd.Flags().BoolVar(&o.Draft, "draft", false, "describe the stored definition, also where another one is deployed")
	onAPI(cmd, func(ctx context.Context, s *session, api *management.API) error {
		document, err := s.Document(ctx, api.ID, kind, o)
		if err != nil {
			return err
		}
		format := s.format
		if !format.Machine() {
			format = output.JSON // a document has no table
		}
		return output.WriteJSON(s.out, format, document)
	})
	return cmd
}
