package client

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
)

// act is what a command did to one API, for programs.
type act struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Action   string `json:"action"`
	State    string `json:"state,omitempty"`
	Revision uint64 `json:"revision,omitempty"`
	Workers  int    `json:"workers"`
}

func newDeploy() *cobra.Command {
	var wait time.Duration
	var label string
	cmd := &cobra.Command{
		Use:   "deploy API",
		Short: "Bring an API's stored definition to the workers",
		Long: `Make the stored definition of an API the one that the workers serve, and wait until they do. The API needs a published
plan; it is served while it is started.

` + exitHelp,
		Example: example("sluice deploy orders", "sluice deploy orders --label 'new topic' --wait 30s"),
	}
	cmd.Flags().DurationVar(&wait, "wait", defaultWait, "how long to wait until the workers serve it; 0: do not wait")
	cmd.Flags().StringVar(&label, "label", "", "name of the deployment, at most 32 characters")
	onAPI(cmd, func(ctx context.Context, s *session, api *rest.API) error {
		if wait < 0 {
			return usageOf(cmd, "--wait must not be negative")
		}
		err := s.waiting(ctx, api.Name+": waiting for the workers", func(ctx context.Context) error {
			return s.Deploy(ctx, api.ID, label, wait)
		})
		if err != nil {
			return err
		}
		return s.done(ctx, api, "deployed")
	})
	return cmd
}

func newStart() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "start API",
		Short: "Serve an API",
		Long: `Let the workers serve what was last deployed of an API. One that was never deployed is deployed by its first start.
Starting an API that is started changes nothing.

` + exitHelp,
		Example: example("sluice start orders"),
	}
	cmd.Flags().DurationVar(&wait, "wait", defaultWait, "how long to wait until the workers serve it; 0: do not wait")
	onAPI(cmd, func(ctx context.Context, s *session, api *rest.API) error {
		if api.Started() {
			return s.done(ctx, api, "already started")
		}
		err := s.waiting(ctx, api.Name+": waiting for the workers", func(ctx context.Context) error {
			return s.Start(ctx, api.ID, wait)
		})
		if err != nil {
			return err
		}
		return s.done(ctx, api, "started")
	})
	return cmd
}

func newStop() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop API",
		Short: "Serve an API no more",
		Long: `Let the workers serve an API no more; its open connections are closed politely. Its definition stays, and "sluice start"
serves it again. Stopping an API that is stopped changes nothing.

` + exitHelp,
		Example: example("sluice stop orders"),
	}
	onAPI(cmd, func(ctx context.Context, s *session, api *rest.API) error {
		if !api.Started() {
			s.say("%s: already stopped", api.Name)
			return s.finish(act{ID: api.ID, Name: api.Name, Action: "unchanged", State: "STOPPED"})
		}
		if err := s.Stop(ctx, api.ID); err != nil {
			return err
		}
		s.say("%s: stopped", api.Name)
		return s.finish(act{ID: api.ID, Name: api.Name, Action: "stopped", State: "STOPPED"})
	})
	return cmd
}

// onAPI makes cmd one that does something to the API that its argument names.
func onAPI(cmd *cobra.Command, do func(context.Context, *session, *rest.API) error) {
	cmd.Args = cobra.ExactArgs(1)
	outputFlag(cmd)
	c := connect(cmd)
	cmd.ValidArgsFunction = completeAPI(c)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := open(cmd, c)
		if err != nil {
			return err
		}
		api, err := s.find(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return do(cmd.Context(), s, &api.Value)
	}
}

// done tells what was done to an API and who serves it now.
func (s *session) done(ctx context.Context, api *rest.API, action string) error {
	r := &applied{ID: api.ID, Name: api.Name}
	told, err := s.served(ctx, r)
	if err != nil {
		return err
	}
	s.say("%s: %s; %s", api.Name, action, told)
	if action == "already started" {
		action = "unchanged"
	}
	return s.finish(act{ID: r.ID, Name: r.Name, Action: action, State: r.State, Revision: r.Revision, Workers: r.Workers})
}

// bringUp deploys what is stored of an API and starts it where start says so. Where it runs already, the deployment is
// what the workers are waited for, else the start.
func (s *session) bringUp(ctx context.Context, id string, started, start bool, wait time.Duration) error {
	if started || !start {
		return s.Deploy(ctx, id, "", wait)
	}
	if err := s.Deploy(ctx, id, "", 0); err != nil {
		return err
	}
	return s.Start(ctx, id, wait)
}

// served reads who serves an API now, notes it in r, and says it in words.
func (s *session) served(ctx context.Context, r *applied) (string, error) {
	d, err := s.Deployments(ctx, r.ID)
	if err != nil {
		return "", err
	}
	r.Revision, r.Workers, r.State = d.Value.Revision, d.Value.Ready, d.Value.State
	if r.State == "STOPPED" {
		return fmt.Sprintf("stopped, revision %d", r.Revision), nil
	}
	on := output.Count(r.Workers, "worker")
	if d.Value.Total > r.Workers {
		on = fmt.Sprintf("%d of %s", r.Workers, output.Count(d.Value.Total, "worker"))
	}
	return fmt.Sprintf("deployed on %s, revision %d", on, r.Revision), nil
}
