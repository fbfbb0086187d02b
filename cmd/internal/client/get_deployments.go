package client

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
)

func newGetDeployments() *cobra.Command {
	cmd := &cobra.Command{
		Use: "deployments [API]", Aliases: []string{"deployment"}, Args: cobra.MaximumNArgs(1),
		Short:   "Show which worker serves which revision of an API, or of all",
		Example: example("sluice get deployments orders", "sluice get deployments -o json"),
	}
	c := reading(cmd, func(ctx context.Context, s *session, args []string) error {
		apis, err := s.selected(ctx, args)
		if err != nil {
			return err
		}
		all := []rest.Item[rest.Deployment]{}
		for i := range apis {
			d, err := s.Deployments(ctx, apis[i].Value.ID)
			if err != nil {
				return err
			}
			all = append(all, *d)
		}
		if s.format.Machine() && len(args) > 0 {
			return output.Write(s.out, s.format, all[0])
		}
		if s.format == output.Table || s.format == output.Wide {
			return s.deployments(apis, all)
		}
		return show(s, view[rest.Deployment]{name: func(d *rest.Deployment) string { return d.API }}, all)
	})
	cmd.ValidArgsFunction = completeAPI(c)
	return cmd
}

// deployments writes a row per API and worker.
func (s *session) deployments(apis []rest.Item[rest.API], all []rest.Item[rest.Deployment]) error {
	g := output.Grid{Header: []string{"API", "DEPLOYED", "WORKER", "STATE", "SERVES", "ERROR"}}
	for i, d := range all {
		name, revision := output.Text(apis[i].Value.Name), output.Text("")
		if d.Value.Revision > 0 {
			revision = output.Text(strconv.FormatUint(d.Value.Revision, 10))
		}
		if len(d.Value.Workers) == 0 {
			g.Rows = append(g.Rows, []output.Cell{name, revision, output.Text(""), state(d.Value.State), output.Text(""), {}})
		}
		for _, w := range d.Value.Workers {
			serves := output.Text("")
			if w.Revision > 0 {
				serves = output.Text(strconv.FormatUint(w.Revision, 10))
			}
			g.Rows = append(g.Rows, []output.Cell{name, revision, output.Text(w.Worker), state(w.State), serves, {Text: w.Error, Style: output.Bad}})
		}
	}
	if len(g.Rows) == 0 {
		_, err := fmt.Fprintln(s.err, apiView.empty)
		return err
	}
	return g.Write(s.out, s.colour)
}
