package client

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

func newGet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Show APIs, plans, deployments, workers and the cluster",
		Long: `Show what a server holds: tables for people, -o json and -o yaml for programs (the management API's own objects, a list
where several may come), -o name for shells.

` + exitHelp,
		Example: example("sluice get apis", "sluice get api orders -o yaml", "sluice get workers -o wide"),
	}
	return group(cmd, newGetAPIs(), newGetPlans(), newGetDeployments(), newGetWorkers(), newGetCluster())
}

// view is a list as a table: a column per header, the wide ones last.
type view[T any] struct {
	header, wide []string
	row          func(v *T) []output.Cell // a cell for every header and every wide one
	name         func(v *T) string        // for -o name
	empty        string                   // told where there is none
}

// show writes a list in the session's format.
func show[T any](s *session, v view[T], items []rest.Item[T]) error {
	switch s.format {
	case output.JSON, output.YAML:
		return output.Write(s.out, s.format, items)
	case output.Name:
		for i := range items {
			if _, err := s.out.Write([]byte(v.name(&items[i].Value) + "\n")); err != nil {
				return err
			}
		}
		return nil
	}
	if len(items) == 0 {
		_, err := s.err.Write([]byte(v.empty + "\n"))
		return err
	}
	g := output.Grid{Header: v.header}
	if s.format == output.Wide {
		g.Header = append(append([]string{}, v.header...), v.wide...)
	}
	for i := range items {
		g.Rows = append(g.Rows, v.row(&items[i].Value)[:len(g.Header)])
	}
	return g.Write(s.out, s.colour)
}

// reading makes cmd one that only reads.
func reading(cmd *cobra.Command, do func(ctx context.Context, s *session, args []string) error) *connection {
	outputFlag(cmd, output.Wide, output.Name)
	c := connect(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := open(cmd, c)
		if err != nil {
			return err
		}
		return do(cmd.Context(), s, args)
	}
	return c
}

func newGetPlans() *cobra.Command {
	cmd := &cobra.Command{
		Use: "plans [API]", Aliases: []string{"plan"}, Args: cobra.MaximumNArgs(1),
		Short:   "List the plans of an API, or of all",
		Example: example("sluice get plans orders", "sluice get plans -o json"),
	}
	c := reading(cmd, func(ctx context.Context, s *session, args []string) error {
		apis, err := s.selected(ctx, args)
		if err != nil {
			return err
		}
		all := []rest.Item[management.Plan]{}
		of := map[string]string{}
		for i := range apis {
			plans, err := s.Plans(ctx, apis[i].Value.ID)
			if err != nil {
				return err
			}
			for _, p := range plans {
				of[p.Value.ID] = apis[i].Value.Name
			}
			all = append(all, plans...)
		}
		return show(s, planView(of), all)
	})
	cmd.ValidArgsFunction = completeAPI(c)
	return cmd
}

func planView(of map[string]string) view[management.Plan] {
	return view[management.Plan]{
		header: []string{"API", "PLAN", "SECURITY", "STATUS", "ID"}, wide: []string{"ORDER", "MODE", "KEY"},
		row: func(p *management.Plan) []output.Cell {
			return []output.Cell{
				output.Text(of[p.ID]), output.Text(p.Name), output.Text(security(&p.Plan)), planStatus(p.Status), output.Text(p.ID),
				output.Text(strconv.Itoa(p.Order)), output.Text(p.Mode), output.Text(p.Key),
			}
		},
		name:  func(p *management.Plan) string { return p.ID },
		empty: "no plans; \"sluice plan create API --security key-less --publish\" makes one",
	}
}

// security is how a plan knows its callers; a push plan has none.
func security(p *apidef.Plan) string {
	if p.Security == nil {
		return "push"
	}
	return p.Security.Type
}

func planStatus(status apidef.PlanStatus) output.Cell {
	c := output.Text(string(status))
	switch status {
	case apidef.PlanPublished:
		c.Style = output.Good
	case apidef.PlanDeprecated, apidef.PlanStaging:
		c.Style = output.Odd
	default:
		c.Style = output.Faint
	}
	return c
}

// selected is the API that args name, or all of them.
func (s *session) selected(ctx context.Context, args []string) ([]rest.Item[management.API], error) {
	all, err := s.APIs(ctx)
	if err != nil || len(args) == 0 {
		byName(all)
		return all, err
	}
	one, err := pick(all, args[0])
	if err != nil {
		return nil, err
	}
	return []rest.Item[management.API]{*one}, nil
}

func newGetWorkers() *cobra.Command {
	cmd := &cobra.Command{
		Use: "workers [ID]", Aliases: []string{"worker"}, Args: cobra.MaximumNArgs(1),
		Short:   "List the workers that report to the control plane",
		Example: example("sluice get workers", "sluice get workers -o wide"),
	}
	reading(cmd, func(ctx context.Context, s *session, args []string) error {
		all, err := s.Workers(ctx)
		if err != nil {
			return err
		}
		if len(args) > 0 {
			if all, err = onlyWorker(all, args[0]); err != nil {
				return err
			}
		}
		if len(args) > 0 && s.format.Machine() {
			return output.Write(s.out, s.format, all[0])
		}
		return show(s, workerView, all)
	})
	return cmd
}

func onlyWorker(all []rest.Item[management.Worker], id string) ([]rest.Item[management.Worker], error) {
	for i := range all {
		if all[i].Value.ID == id {
			return all[i : i+1], nil
		}
	}
	return nil, &exit{code: ExitNotFound, err: fmt.Errorf("there is no worker %q", id), hint: "\"sluice get workers\" lists those there are"}
}

var workerView = view[management.Worker]{
	header: []string{"WORKER", "STATE", "REVISION", "APIS", "VERSION"}, wide: []string{"TAGS", "CONNECTIONS", "LAST SEEN", "FAULT"},
	row: func(w *management.Worker) []output.Cell {
		return []output.Cell{
			output.Text(w.ID), workerHealth(w), output.Text(strconv.FormatUint(w.Revision, 10)), output.Text(strconv.Itoa(w.APIs)), output.Text(w.Version),
			output.Text(strings.Join(w.Tags, ",")), output.Text(strconv.FormatUint(w.Connections, 10)), moment(w.SeenAt), output.Text(w.Fault),
		}
	},
	name:  func(w *management.Worker) string { return w.ID },
	empty: "no workers; \"sluice worker\" starts one",
}

// workerHealth is whether a worker can be relied on.
func workerHealth(w *management.Worker) output.Cell {
	switch {
	case !w.Live:
		return output.Cell{Text: "lost", Style: output.Bad}
	case w.Fault != "":
		return output.Cell{Text: "faulty", Style: output.Bad}
	case len(w.Failures) > 0:
		return output.Cell{Text: output.Count(len(w.Failures), "failure"), Style: output.Bad}
	case !w.Ready:
		return output.Cell{Text: "starting", Style: output.Odd}
	}
	return output.Cell{Text: "ready", Style: output.Good}
}

func newGetCluster() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cluster", Args: cobra.NoArgs,
		Short:   "Show the nodes of the control plane",
		Example: example("sluice get cluster", "sluice get cluster -o json"),
	}
	reading(cmd, func(ctx context.Context, s *session, _ []string) error {
		cluster, err := s.Cluster(ctx)
		if err != nil {
			return err
		}
		if s.format.Machine() {
			return output.Write(s.out, s.format, cluster)
		}
		if s.format == output.Name {
			for _, n := range cluster.Value.Members {
				s.say("%s", n.ID)
			}
			return nil
		}
		return s.nodes(&cluster.Value, "")
	})
	return cmd
}

func state(name string) output.Cell {
	c := output.Text(strings.ToLower(strings.ReplaceAll(name, "_", " ")))
	switch c.Text {
	case "started", "deployed", "ready", "serving", "running", "finished", "in sync", "leader", "follower":
		c.Style = output.Good
	case "stopped", "-":
		c.Style = output.Faint
	case "failed", "lost", "gone", "error", "unreachable", "offline":
		c.Style = output.Bad
	default:
		c.Style = output.Odd
	}
	return c
}

// moment is a time in UTC: the same text wherever it is read.
func moment(m time.Time) output.Cell {
	if m.IsZero() {
		return output.Text("")
	}
	return output.Text(m.UTC().Format(time.RFC3339))
}
