package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

var dialects = []string{string(apidef.Gateway), string(apidef.Management), string(apidef.CRD)}

func newGetAPIs() *cobra.Command {
	var dialect string
	cmd := &cobra.Command{
		Use: "apis [API]", Aliases: []string{"api"}, Args: cobra.MaximumNArgs(1),
		Short: "List APIs, or show one",
		Long: `List APIs, or show one: what it is, its plans and who serves it.

-o json and -o yaml write what the management API holds. With --dialect they write the definition alone, to be kept and
applied again: gateway (lower-case, as in events and ConfigMaps), management (the 4.x REST form) or crd (a Kubernetes
manifest).`,
		Example: example("sluice get apis", "sluice get api orders", "sluice get api orders --dialect crd > orders.yaml",
			"sluice get apis -o name | xargs -n 1 sluice deploy"),
	}
	cmd.Flags().StringVar(&dialect, "dialect", "", "write definitions in this dialect: "+strings.Join(dialects, ", "))
	_ = cmd.RegisterFlagCompletionFunc("dialect", cobra.FixedCompletions(dialects, cobra.ShellCompDirectiveNoFileComp))
	c := reading(cmd, func(ctx context.Context, s *session, args []string) error {
		if dialect != "" && !contains(dialects, dialect) {
			return usageOf(cmd, "--dialect %s: choose one of: %s", dialect, strings.Join(dialects, ", "))
		}
		if dialect != "" && (s.format == output.Wide || s.format == output.Name) {
			return usageOf(cmd, "--dialect goes with -o json or -o yaml, not with -o %s", s.format)
		}
		all, err := s.selected(ctx, args)
		switch {
		case err != nil:
			return err
		case len(args) == 0 && dialect == "":
			return show(s, apiView, all)
		case len(args) > 0 && (s.format == output.Wide || s.format == output.Name):
			return show(s, apiView, all)
		case len(args) > 0 && dialect == "" && s.format == output.Table:
			return s.describeAPI(ctx, &all[0].Value)
		}
		whole, err := s.whole(ctx, all)
		if err != nil {
			return err
		}
		if dialect != "" {
			return s.writeDialect(whole, apidef.Dialect(dialect), len(args) > 0)
		}
		return output.Write(s.out, s.format, whole[0])
	})
	cmd.ValidArgsFunction = completeAPI(c)
	return cmd
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}

// whole reads each API by itself: a list may hold less of one.
func (s *session) whole(ctx context.Context, list []rest.Item[rest.API]) ([]json.RawMessage, error) {
	var all []json.RawMessage
	for _, item := range list {
		stored, err := s.API(ctx, item.Value.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, stored.Raw)
	}
	return all, nil
}

var apiView = view[rest.API]{
	header: []string{"NAME", "VERSION", "TYPE", "STATE", "DEPLOYMENT", "LISTENS ON"}, wide: []string{"ID", "CROSS ID", "UPDATED"},
	row: func(a *rest.API) []output.Cell {
		return []output.Cell{
			output.Text(a.Name), output.Text(a.APIVersion), output.Text(kindOf(a.Type)), state(a.State), deployment(a), output.Text(listensOn(a)),
			output.Text(a.ID), output.Text(a.CrossID), moment(a.UpdatedAt),
		}
	},
	name:  func(a *rest.API) string { return a.ID },
	empty: "no APIs; \"sluice apply -f FILE\" makes one",
}

// kindOf is the type of an API in the words of today.
func kindOf(typ string) string {
	switch typ = strings.ToLower(typ); typ {
	case "async":
		return "message"
	case "sync":
		return "proxy"
	}
	return typ
}

func deployment(a *rest.API) output.Cell {
	switch a.DeploymentState {
	case "DEPLOYED":
		return output.Cell{Text: "in sync", Style: output.Good}
	case "NEED_REDEPLOY":
		if a.DeployedAt.IsZero() {
			return output.Cell{Text: "never deployed", Style: output.Odd}
		}
		return output.Cell{Text: "changed since", Style: output.Odd}
	}
	return output.Text(strings.ToLower(a.DeploymentState))
}

// listensOn names the places where clients find an API.
func listensOn(a *rest.API) string {
	var all []string
	for _, l := range a.Listeners {
		for _, p := range l.Paths {
			all = append(all, p.Host+p.Path)
		}
		all = append(all, l.Hosts...)
		if l.Host != "" {
			host := l.Host
			if l.Port > 0 {
				host = fmt.Sprintf("%s:%d", host, l.Port)
			}
			all = append(all, host)
		}
	}
	return strings.Join(all, ", ")
}

// describeAPI shows one API on a screen.
func (s *session) describeAPI(ctx context.Context, listed *rest.API) error {
	stored, err := s.API(ctx, listed.ID)
	if err != nil {
		return err
	}
	plans, err := s.Plans(ctx, listed.ID)
	if err != nil {
		return err
	}
	d, err := s.Deployments(ctx, listed.ID)
	if err != nil {
		return err
	}
	a := &stored.Value
	g := output.Grid{}
	row := func(label string, c output.Cell) { g.Rows = append(g.Rows, []output.Cell{{Text: label}, c}) }
	row("name", output.Cell{Text: a.Name, Style: output.Bold})
	row("id", output.Text(a.ID))
	if a.CrossID != "" {
		row("cross id", output.Text(a.CrossID))
	}
	row("version", output.Text(a.APIVersion))
	row("type", output.Text(kindOf(a.Type)))
	row("listens on", output.Text(listensOn(a)))
	row("state", state(a.State))
	row("deployment", deployment(a))
	label := "plans"
	for _, p := range plans {
		c := planStatus(p.Value.Status)
		c.Text = fmt.Sprintf("%s (%s, %s)", p.Value.Name, strings.ToLower(strings.ReplaceAll(p.Value.Security.Type, "_", "-")), c.Text)
		row(label, c)
		label = ""
	}
	label = "workers"
	for _, w := range d.Value.Workers {
		row(label, workerState(&w))
		label = ""
	}
	return g.Write(s.out, s.colour)
}

// workerState says what one worker serves of an API.
func workerState(w *rest.Deployed) output.Cell {
	c := state(w.State)
	c.Text = fmt.Sprintf("%s: %s, revision %d", w.Worker, c.Text, w.Revision)
	if w.Error != "" {
		c.Text += ": " + w.Error
		c.Style = output.Bad
	}
	return c
}

// writeDialect writes definitions in a dialect; a list of manifests is a YAML text of several documents, as kubectl
// reads them.
func (s *session) writeDialect(whole []json.RawMessage, dialect apidef.Dialect, single bool) error {
	asYAML := s.format == output.YAML || s.format == output.Table && dialect == apidef.CRD
	var texts []json.RawMessage
	for _, raw := range whole {
		doc, err := apidef.Decode(raw)
		if err != nil {
			return &rest.ProtocolError{Err: fmt.Errorf("decode the stored definition: %w", err)}
		}
		for _, at := range servedMembers {
			delete(doc.API.Carried, at)
			delete(doc.API.Unknown, at)
		}
		encode := apidef.Encode
		if asYAML {
			encode = apidef.EncodeYAML
		}
		text, err := encode(doc.API, dialect)
		if err == nil && !asYAML && dialect == apidef.CRD {
			text, err = yamlToJSON(text)
		}
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	if asYAML {
		var b bytes.Buffer
		for i, text := range texts {
			if i > 0 {
				b.WriteString("---\n")
			}
			b.Write(text)
		}
		_, err := s.out.Write(b.Bytes())
		return err
	}
	if single {
		return output.WriteJSON(s.out, output.JSON, texts[0])
	}
	return output.Write(s.out, output.JSON, texts)
}

func yamlToJSON(text []byte) ([]byte, error) {
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
