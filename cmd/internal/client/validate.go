package client

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/source"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

func newValidate(env apidef.Validation) *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "validate -f FILE...",
		Short: "Check API definitions without a server",
		Long: `Check API definitions: every problem of every file, warnings marked. No server is asked.

A FILE is a file, a directory (every .json, .yaml and .yml below it), a pattern or - for standard input, in any dialect:
what a gateway or the management API holds, a Kubernetes manifest, several YAML documents in one file. Rules that
need the other APIs of a server, such as a path that is taken there, are checked by apply.

` + exitHelp,
		Example: example(
			"sluice validate -f api.yaml",
			"sluice validate -f apis/ -f 'more/*.json'",
			"sluice validate -f api.json -o json | jq '.files[].problems[]'",
		),
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "file, directory, pattern or - (may be repeated)")
	outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(files)+len(args) == 0 {
			return usageOf(cmd, "say what to validate with -f FILE")
		}
		return validate(cmd, append(files, args...), env)
	}
	return cmd
}

// usageOf is a wrong use of cmd that only its own code can see.
func usageOf(cmd *cobra.Command, format string, args ...any) error {
	return &exit{code: ExitUsage, err: fmt.Errorf(format, args...), hint: `see "` + cmd.CommandPath() + ` --help"`}
}

func validate(cmd *cobra.Command, args []string, env apidef.Validation) error {
	loaded, err := load(cmd, args, env)
	if err != nil {
		return err
	}
	files, valid := problemsOf(loaded)
	w := cmd.OutOrStdout()
	if format := formatOf(cmd); format.Machine() {
		err = output.Write(w, format, map[string]any{"valid": valid, "files": files})
	} else {
		for _, f := range files {
			if err = f.write(w, output.Colour(w)); err != nil {
				break
			}
		}
	}
	if err == nil && !valid {
		return &exit{code: ExitRefused, err: errTold}
	}
	return err
}

// load reads definitions; a file that cannot be read is a wrong command line.
func load(cmd *cobra.Command, args []string, env apidef.Validation) ([]*source.File, error) {
	loaded, err := source.Load(args, cmd.InOrStdin(), env)
	if err != nil {
		return nil, &exit{code: ExitUsage, err: err}
	}
	return loaded, nil
}
