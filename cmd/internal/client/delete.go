package client

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/cmd/internal/client/source"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

type deleteOptions struct {
	files           []string
	closePlans, yes bool
}

func newDelete(env apidef.Validation) *cobra.Command {
	cmd := &cobra.Command{Use: "delete", Short: "Delete APIs", Example: example("sluice delete api orders")}
	return group(cmd, newDeleteAPI(env))
}

func newDeleteAPI(env apidef.Validation) *cobra.Command {
	var o deleteOptions
	cmd := &cobra.Command{
		Use: "api API... | -f FILE", Aliases: []string{"apis"},
		Short: "Delete APIs by name, or those that definitions mean",
		Long: `Delete APIs. One that is started is stopped first. One with open plans is only deleted with --close-plans, which ends the
subscriptions to them. Asks before it deletes, unless --yes is given.

` + exitHelp,
		Example: example("sluice delete api orders", "sluice delete api -f apis/ --close-plans --yes"),
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.files, "file", "f", nil, "delete the APIs of these definitions: file, directory, pattern or -")
	f.BoolVar(&o.closePlans, "close-plans", false, "close open plans, and with them their subscriptions")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	outputFlag(cmd)
	c := connect(cmd)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return c.names(cmd, typed), cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && len(o.files) == 0 {
			return usageOf(cmd, "say which API to delete: its name, or its definition with -f FILE")
		}
		s, err := open(cmd, c)
		if err != nil {
			return err
		}
		targets, err := s.toDelete(cmd, args, o.files, env)
		if err != nil {
			return err
		}
		if err := s.confirm(cmd, targets, o.yes); err != nil {
			return err
		}
		return s.deleteAll(cmd.Context(), targets, o.closePlans)
	}
	return cmd
}

// toDelete are the APIs that names and definitions mean. Every one must be there: deleting is nothing to guess at.
func (s *session) toDelete(cmd *cobra.Command, names, files []string, env apidef.Validation) ([]rest.API, error) {
	all, err := s.APIs(cmd.Context())
	if err != nil {
		return nil, err
	}
	a := &applier{session: s, stored: all, ids: map[string]bool{}}
	var targets []rest.API
	for _, name := range names {
		found, err := pick(all, name)
		if err != nil {
			return nil, err
		}
		if !a.ids[found.Value.ID] {
			a.ids[found.Value.ID] = true
			targets = append(targets, found.Value)
		}
	}
	if len(files) == 0 {
		return targets, nil
	}
	loaded, err := load(cmd, files, env)
	if err != nil {
		return nil, err
	}
	for _, d := range source.Definitions(loaded) {
		found, err := a.target(d)
		switch {
		case err != nil:
			return nil, err
		case found == nil:
			return nil, &exit{code: ExitNotFound, err: fmt.Errorf("%s: there is no API %q", d.Label(), d.API.Name), hint: "nothing was deleted"}
		}
		targets = append(targets, *found)
	}
	return targets, nil
}

// confirm asks on a terminal; where there is nobody to ask, --yes is needed.
func (s *session) confirm(cmd *cobra.Command, targets []rest.API, yes bool) error {
	if yes {
		return nil
	}
	var names []string
	for _, t := range targets {
		names = append(names, fmt.Sprintf("%s (%s)", t.Name, strings.ToLower(t.State)))
	}
	if in, ok := cmd.InOrStdin().(*os.File); !ok || !output.Terminal(in) {
		return usageOf(cmd, "would delete %s; add --yes where nobody can be asked", strings.Join(names, ", "))
	}
	fmt.Fprintf(s.err, "delete %s? [y/N] ", strings.Join(names, ", "))
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err == nil && (answer == "y" || answer == "yes") {
		return nil
	}
	return &exit{code: ExitRefused, err: fmt.Errorf("nothing was deleted")}
}

func (s *session) deleteAll(ctx context.Context, targets []rest.API, closePlans bool) error {
	done := []act{}
	var failed error
	for _, t := range targets {
		if failed = s.deleteOne(ctx, &t, closePlans); failed != nil {
			break
		}
		done = append(done, act{ID: t.ID, Name: t.Name, Action: "deleted"})
	}
	if len(done) > 0 || failed == nil {
		if err := s.finish(map[string]any{"results": done}); err != nil {
			return err
		}
	}
	return failed
}

func (s *session) deleteOne(ctx context.Context, t *rest.API, closePlans bool) error {
	stopped := ""
	if t.Started() {
		if !closePlans {
			if err := s.refuseOpenPlans(ctx, t); err != nil {
				return err
			}
		}
		if err := s.Stop(ctx, t.ID); err != nil {
			return err
		}
		stopped = "stopped and "
	}
	if err := s.Delete(ctx, t.ID, closePlans); err != nil {
		if stopped != "" {
			return fmt.Errorf("%s was stopped but not deleted: %w", t.Name, err)
		}
		return err
	}
	s.say("%s: %sdeleted", t.Name, stopped)
	return nil
}

// refuseOpenPlans refuses before an API is stopped what the server would refuse after that.
func (s *session) refuseOpenPlans(ctx context.Context, t *rest.API) error {
	plans, err := s.Plans(ctx, t.ID)
	if err != nil {
		return err
	}
	var open []string
	for _, p := range plans {
		if status := strings.ToLower(p.Value.Status); status == "published" || status == "deprecated" {
			open = append(open, p.Value.Name)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return &exit{code: ExitRefused, hint: "add --close-plans to close them, which ends their subscriptions",
		err: fmt.Errorf("%s has %s: %s; nothing was deleted", t.Name, output.Count(len(open), "open plan"), strings.Join(open, ", "))}
}
