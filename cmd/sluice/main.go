// Command sluice is the one binary: a role or a command per subcommand. This package is wiring and nothing else.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/catalog"
	"github.com/sluice-gateway/sluice/cmd/internal/client"
	"github.com/sluice-gateway/sluice/cmd/internal/run"
	"github.com/sluice-gateway/sluice/connectors/builtin"
	policies "github.com/sluice-gateway/sluice/policies/builtin"
)

func main() { os.Exit(execute()) }

func execute() int {
	ctx, stop := run.Signals(context.Background())
	defer stop()
	root := &cobra.Command{
		Use:   "sluice",
		Short: "A bridge between message brokers and the web",
		Long:  "Sluice serves V4 API definitions: POST becomes a Kafka message; event streams, WebSockets and pages bring messages out.",
	}
	root.AddCommand(newDev(), newControlPlane(), newWorker(), newBench())
	root.AddCommand(client.Commands(catalog.Validation(builtin.Entrypoints, builtin.Endpoints),
		catalog.Try(builtin.Entrypoints, builtin.Endpoints, policies.Policies, policies.Resources, nil))...)
	return client.Execute(ctx, root)
}
