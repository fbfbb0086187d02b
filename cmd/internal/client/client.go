// Package client is the command line of the people who run Sluice: apply, validate, get, delete, deploy, start, stop,
// plan, subscriptions, describe, status, version. It speaks to the management API and nothing else, holds no state between commands, and prints
// for people or, with -o json and -o yaml, for programs.
package client

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Commands are the commands to mount beside the roles. Validation is what this build knows of connectors and policies;
// apply and validate check definitions with it before they call a server.
// Tried runs a draft on messages, in this process.
func Commands(validation apidef.Validation, tried Tried) []*cobra.Command {
	return []*cobra.Command{
		newApply(validation), newValidate(validation), newGet(), newDelete(validation),
		newDeploy(), newStart(), newStop(), newPlan(), newSubscriptions(), newDescribe(), newTry(validation, tried), newStatus(), newVersion(),
	}
}

// Execute runs the command line under root and tells what went wrong on root's error stream: as text, or as JSON where
// the command was asked for JSON. It returns the exit code. Commands that are not of this package may be among root's;
// theirs is ExitUsage for a wrong command line and ExitRefused for any other error.
func Execute(ctx context.Context, root *cobra.Command) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	began := false
	notice(root, &began)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	if !began && ExitCode(err) == ExitRefused {
		err = misused(cmd, err)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = &exit{code: ExitInterrupted, err: errors.New("interrupted")}
	}
	report(cmd, err)
	return ExitCode(err)
}

// notice sets began when a command's own code starts: an error before that is one of the command line.
func notice(cmd *cobra.Command, began *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*began = true
			return run(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		notice(c, began)
	}
}

// misused is a wrong command line: what is wrong, and where to read how it is right.
func misused(cmd *cobra.Command, err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n\nDid you mean")
	return &exit{code: ExitUsage, err: errors.New(text), hint: `see "` + cmd.CommandPath() + ` --help"` + suggestion(err)}
}

// suggestion takes cobra's "Did you mean this?" list into one line.
func suggestion(err error) string {
	_, names, found := strings.Cut(err.Error(), "Did you mean this?")
	if !found {
		return ""
	}
	return "; did you mean " + strings.Join(strings.Fields(names), " or ") + "?"
}

// group makes a command that only holds others: alone it shows its help, with an unknown word it says so.
func group(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := `unknown command "` + args[0] + `" for "` + cmd.CommandPath() + `"`
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += "\n\nDid you mean this?\n" + strings.Join(near, "\n")
		}
		return errors.New(text)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(children...)
	return cmd
}

// example indents the lines of an example as cobra's help wants them.
func example(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

// named wants exactly the arguments that the use line names, and says which is missing.
func named(cmd *cobra.Command, names ...string) {
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return errors.New("say which " + names[len(args)])
		}
		if len(args) > len(names) {
			return errors.New(`unexpected "` + args[len(names)] + `"; quote a name that has spaces`)
		}
		return nil
	}
}
