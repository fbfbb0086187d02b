package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/cmd/internal/client/source"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// defaultWait is how long apply, deploy and start wait for the workers.
const defaultWait = 10 * time.Second

type applyOptions struct {
	files           []string
	wait            time.Duration
	dryRun, noStart bool
}

func newApply(env apidef.Validation) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply -f FILE...",
		Short: "Make the server's APIs what these definitions say",
		Long: `Create or update APIs from definitions, deploy them and start them.

All definitions are checked before the first change: where one has a problem, nothing is changed. Then, one by one,
each is created, updated, or left alone where it is what the server holds already, deployed, and started unless it says
state: STOPPED. Applying the same files again changes nothing.

Which API a definition means: the one with its id, else the one with its crossId (a Kubernetes manifest without one gets
it from its namespace and name), else the one with its name and version. Its plans are matched by id, crossId, key or
name; a definition that has plans closes those it no longer names, one without leaves the server's alone.

A FILE is a file, a directory (every .json, .yaml and .yml below it), a pattern or - for standard input, in any dialect.

` + exitHelp,
		Example: example(
			"sluice apply -f api.yaml",
			"sluice apply -f apis/ --dry-run",
			"kubectl get apiv4definition orders -o yaml | sluice apply -f - --wait 30s",
		),
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.files, "file", "f", nil, "file, directory, pattern or - (may be repeated)")
	f.DurationVar(&o.wait, "wait", defaultWait, "how long to wait until the workers serve it; 0: do not wait")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would change, and change nothing")
	f.BoolVar(&o.noStart, "no-start", false, "do not start what is stopped")
	outputFlag(cmd)
	c := connect(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o := o
		o.files = append(o.files, args...)
		if len(o.files) == 0 {
			return usageOf(cmd, "say what to apply with -f FILE")
		}
		if o.wait < 0 {
			return usageOf(cmd, "--wait must not be negative")
		}
		return apply(cmd, c, o, env)
	}
	return cmd
}

func apply(cmd *cobra.Command, c *connection, o applyOptions, env apidef.Validation) error {
	loaded, err := load(cmd, o.files, env)
	if err != nil {
		return err
	}
	files, valid := problemsOf(loaded)
	if !valid {
		return &problemsError{files: files}
	}
	s, err := open(cmd, c)
	if err != nil {
		return err
	}
	if !s.format.Machine() {
		for _, f := range files {
			if len(f.Problems) > 0 { // warnings
				if err := f.write(s.err, output.Colour(s.err)); err != nil {
					return err
				}
			}
		}
	}
	a := &applier{session: s, options: o, ids: map[string]bool{}}
	return a.all(cmd.Context(), source.Definitions(loaded))
}

// applier applies definitions one after the other.
type applier struct {
	*session
	options applyOptions
	stored  []rest.Item[rest.API] // what the server had before the first change
	ids     map[string]bool       // the APIs that a definition of this run was applied to
	width   int                   // of the longest name
	changed bool
}

// applied is what was done to one API.
type applied struct {
	File       string   `json:"file"`
	Name       string   `json:"name"`
	ID         string   `json:"id,omitempty"`
	CrossID    string   `json:"crossId,omitempty"`
	Action     string   `json:"action"` // created, updated, unchanged or failed
	DryRun     bool     `json:"dryRun,omitempty"`
	Changes    []string `json:"changes,omitempty"` // where the definition differed, as pointers into the file
	Deployed   bool     `json:"deployed"`          // by this run
	State      string   `json:"state,omitempty"`
	Revision   uint64   `json:"revision,omitempty"`
	Workers    int      `json:"workers"` // that serve the revision
	Error      *failure `json:"error,omitempty"`
	inSync     bool
	wasStarted bool
}

// all applies every definition. One that the server refuses does not keep the others from being applied; a server
// that cannot be reached or does not know the token does.
func (a *applier) all(ctx context.Context, definitions []*source.Definition) error {
	var err error
	if a.stored, err = a.APIs(ctx); err != nil {
		return err
	}
	for _, d := range definitions {
		a.width = max(a.width, utf8.RuneCountInString(d.API.Name))
	}
	results, failed := []*applied{}, []error{}
	for _, d := range definitions {
		r, err := a.one(ctx, d)
		if r != nil {
			results = append(results, r)
		}
		if err == nil {
			continue
		}
		failed = append(failed, err)
		if r != nil {
			f := describe(err)
			r.Action, r.Error = actionOr(r.Action, "failed"), &f
		}
		if code := ExitCode(err); code != ExitRefused && code != ExitTimeout && code != ExitNotFound || ctx.Err() != nil {
			break
		}
	}
	if err := a.finish(map[string]any{"results": results, "changed": a.changed}); err != nil {
		return err
	}
	return a.verdict(failed, len(definitions))
}

func actionOr(action, other string) string {
	if action == "" {
		return other
	}
	return action
}

// verdict is the error of the whole run: the one there was, or the first of several with all told.
func (a *applier) verdict(failed []error, total int) error {
	if len(failed) == 0 {
		return nil
	}
	merged := &problemsError{changed: a.changed}
	for _, err := range failed {
		var p *problemsError
		if !errors.As(err, &p) {
			break
		}
		merged.files = append(merged.files, p.files...)
		if p.note != "" {
			merged.note = strings.TrimPrefix(merged.note+"\n"+p.note, "\n")
		}
	}
	if len(merged.files) == len(failed) {
		return merged
	}
	if len(failed) == 1 {
		return failed[0]
	}
	for _, err := range failed {
		f := describe(err)
		a.sayError("%s", f.Message)
	}
	return &exit{code: ExitCode(failed[0]), err: fmt.Errorf("%d of %d APIs were not applied", len(failed), total)}
}

func (a *applier) sayError(format string, args ...any) {
	if !a.format.Machine() {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}
