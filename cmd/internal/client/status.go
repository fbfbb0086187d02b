package client

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/cmd/internal/version"
)

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Args: cobra.NoArgs,
		Short: "Show the cluster, its workers and APIs on one screen",
		Long: `Show who leads the control plane, which workers report to it, and what is to be served.

` + exitHelp,
		Example: example("sluice status", "sluice status -o json | jq .summary"),
	}
	outputFlag(cmd)
	c := connect(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := open(cmd, c)
		if err != nil {
			return err
		}
		return s.status(cmd.Context())
	}
	return cmd
}

// statusBody is the whole for programs.
type statusBody struct {
	Server  string                   `json:"server"`
	Summary summaryBody              `json:"summary"`
	Cluster *rest.Item[rest.Cluster] `json:"cluster"`
	Workers []rest.Item[rest.Worker] `json:"workers"`
	APIs    []json.RawMessage        `json:"apis"`
}

// summaryBody counts what there is.
type summaryBody struct {
	Nodes        int `json:"nodes"`
	Workers      int `json:"workers"`
	APIs         int `json:"apis"`
	Started      int `json:"started"`
	NeedRedeploy int `json:"needRedeploy"` // started, and changed since they were deployed
}

func (s *session) status(ctx context.Context) error {
	cluster, err := s.Cluster(ctx)
	if err != nil {
		return err
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		return err
	}
	apis, err := s.APIs(ctx)
	if err != nil {
		return err
	}
	byName(apis)
	b := statusBody{Server: s.Server(), Cluster: cluster, Workers: workers, APIs: []json.RawMessage{}}
	b.Summary = summaryBody{Nodes: len(cluster.Value.Nodes), Workers: len(workers), APIs: len(apis)}
	for _, a := range apis {
		b.APIs = append(b.APIs, a.Raw)
		if a.Value.Started() {
			b.Summary.Started++
			if a.Value.DeploymentState == "NEED_REDEPLOY" {
				b.Summary.NeedRedeploy++
			}
		}
	}
	if s.format.Machine() {
		return output.Write(s.out, s.format, b)
	}
	return s.screen(&b, apis)
}

// screen writes the status for people.
func (s *session) screen(b *statusBody, apis []rest.Item[rest.API]) error {
	bold := func(text string) string { return output.Paint(output.Bold, text, s.colour) }
	s.say("%s  %s", bold("control plane"), b.Server)
	if err := s.nodes(&b.Cluster.Value, "  "); err != nil {
		return err
	}
	s.say("\n%s  %d", bold("workers"), b.Summary.Workers)
	if err := s.section(workerView.header, "no workers, so nothing is served; \"sluice worker\" starts one", len(b.Workers), func(i int) []output.Cell {
		return workerView.row(&b.Workers[i].Value)[:len(workerView.header)]
	}); err != nil {
		return err
	}
	counts := fmt.Sprintf("%d, %d started", b.Summary.APIs, b.Summary.Started)
	if n := b.Summary.NeedRedeploy; n > 0 {
		counts += ", " + output.Paint(output.Odd, fmt.Sprintf("%d changed since deployed", n), s.colour)
	}
	s.say("\n%s  %s", bold("APIs"), counts)
	return s.section(apiView.header, apiView.empty, len(apis), func(i int) []output.Cell {
		return apiView.row(&apis[i].Value)[:len(apiView.header)]
	})
}

// section writes n rows under a header, or what to say where there are none.
func (s *session) section(header []string, empty string, n int, row func(i int) []output.Cell) error {
	g := output.Grid{Header: header, Indent: "  "}
	for i := range n {
		g.Rows = append(g.Rows, row(i))
	}
	if n == 0 {
		g.Header, g.Rows = nil, [][]output.Cell{{{Text: empty}}}
	}
	return g.Write(s.out, s.colour)
}

// nodes writes the nodes of the control plane.
func (s *session) nodes(c *rest.Cluster, indent string) error {
	g := output.Grid{Header: []string{"NODE", "ROLE", "ADDRESS"}, Indent: indent}
	for _, n := range c.Nodes {
		role := "follower"
		if n.Leader || n.ID == c.Leader {
			role = "leader"
		}
		g.Rows = append(g.Rows, []output.Cell{output.Text(n.ID), state(role), output.Text(n.Address)})
	}
	return g.Write(s.out, s.colour)
}

func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Args: cobra.NoArgs,
		Short:   "Show which build this is",
		Example: example("sluice version", "sluice version -o json"),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := version.Get()
		if format.value.Machine() {
			return output.Write(cmd.OutOrStdout(), format.value, v)
		}
		text := "sluice " + v.Version
		if v.Commit != "" {
			text += " (" + v.Commit[:min(12, len(v.Commit))]
			if v.Dirty {
				text += ", with changes"
			}
			text += ")"
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s/%s\n", text, v.Go, v.OS, v.Arch)
		return err
	}
	return cmd
}
