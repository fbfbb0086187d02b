package client

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/cmd/internal/client/source"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// kinds name the exit codes in JSON errors.
var kinds = map[int]string{
	ExitRefused: "refused", ExitUsage: "usage", ExitUnreachable: "unreachable", ExitUnauthorised: "unauthorised",
	ExitTimeout: "timeout", ExitNotFound: "notFound", ExitServer: "server", ExitInterrupted: "interrupted",
}

// failure is an error as programs read it; report writes it as text for people.
type failure struct {
	Kind          string            `json:"kind"`
	ExitCode      int               `json:"exitCode"`
	Message       string            `json:"message"`
	Hint          string            `json:"hint,omitempty"`
	HTTPStatus    int               `json:"httpStatus,omitempty"`
	TechnicalCode string            `json:"technicalCode,omitempty"`
	Parameters    map[string]string `json:"parameters,omitempty"`
	Details       []rest.Detail     `json:"details,omitempty"`
	Files         []fileProblems    `json:"files,omitempty"`
	Changed       *bool             `json:"changed,omitempty"` // false: nothing was changed
}

// fileProblems are the problems of one file.
type fileProblems struct {
	File     string          `json:"file"`
	Valid    bool            `json:"valid"`
	Problems apidef.Problems `json:"problems"`
}

// problemsError is definitions that are refused, here or by the server.
type problemsError struct {
	files   []fileProblems
	changed bool
	note    string // what became of it all the same, e.g. "orders was created but not deployed"
}

func (e *problemsError) Error() string {
	n := 0
	for _, f := range e.files {
		n += len(f.Problems.Errors())
	}
	return output.Count(n, "problem")
}

// problemsOf are the files with their problems, for output.
func problemsOf(files []*source.File) (all []fileProblems, valid bool) {
	valid = true
	for _, f := range files {
		ok := f.Problems.Err() == nil
		all = append(all, fileProblems{File: f.Name, Valid: ok, Problems: append(apidef.Problems{}, f.Problems...)})
		valid = valid && ok
	}
	return all, valid
}

// write writes a file's problems, warnings marked, pointers aligned.
func (f *fileProblems) write(w io.Writer, colour bool) error {
	errs, warnings := len(f.Problems.Errors()), len(f.Problems.Warnings())
	var counts []string
	if errs > 0 {
		counts = append(counts, output.Count(errs, "problem"))
	} else if f.Valid {
		counts = append(counts, "ok")
	}
	if warnings > 0 {
		counts = append(counts, output.Count(warnings, "warning"))
	}
	if _, err := fmt.Fprintf(w, "%s: %s\n", f.File, strings.Join(counts, ", ")); err != nil {
		return err
	}
	g := output.Grid{Indent: "  "}
	for _, p := range f.Problems {
		message := output.Cell{Text: p.Message}
		if p.Severity == apidef.Warning {
			message = output.Cell{Text: "warning: " + p.Message, Style: output.Odd}
		}
		g.Rows = append(g.Rows, []output.Cell{{Text: where(p)}, message})
	}
	return g.Write(w, colour)
}

// where is the pointer of a problem or, where it is about the whole text, the line.
func where(p apidef.Problem) string {
	switch {
	case p.Pointer != "":
		return p.Pointer
	case p.Line > 1 || p.Column > 1:
		return strings.TrimSuffix(fmt.Sprintf("line %d:%d", p.Line, p.Column), ":0")
	}
	return "/"
}

// report tells what went wrong on the error stream of cmd.
func report(cmd *cobra.Command, err error) {
	w := cmd.ErrOrStderr()
	var quiet *exit
	if errors.As(err, &quiet) && quiet.err == errTold {
		return
	}
	f := describe(err)
	if formatOf(cmd).Machine() {
		_ = output.Write(w, output.JSON, map[string]any{"error": f})
		return
	}
	var problems *problemsError
	if errors.As(err, &problems) {
		for _, file := range problems.files {
			if len(file.Problems) > 0 {
				_ = file.write(w, output.Colour(w))
			}
		}
		if problems.note != "" {
			fmt.Fprintln(w, problems.note)
		}
		if !problems.changed {
			fmt.Fprintln(w, "nothing was changed")
		}
		return
	}
	fmt.Fprintf(w, "sluice: %s\n", f.Message)
	g := output.Grid{Indent: "  "}
	for _, d := range f.Details {
		g.Rows = append(g.Rows, []output.Cell{output.Text(d.Location), {Text: d.Message}})
	}
	_ = g.Write(w, false)
	if f.Hint != "" {
		fmt.Fprintf(w, "  %s\n", f.Hint)
	}
}

// errTold is an error whose text is the command's own output.
var errTold = errors.New("told")

// describe turns an error into what is told of it: what, where, and what to do.
func describe(err error) failure {
	f := failure{ExitCode: ExitCode(err), Kind: kinds[ExitCode(err)], Message: err.Error()}
	var (
		own      *exit
		config   *rest.ConfigError
		down     *rest.UnreachableError
		late     *rest.TimeoutError
		refusal  *rest.Refusal
		problems *problemsError
	)
	switch {
	case errors.As(err, &problems):
		f.Files, f.Changed, f.Hint = problems.files, &problems.changed, problems.note
	case errors.As(err, &config):
		f.Hint = config.Hint
	case errors.As(err, &down):
		f.Hint = `start one here with "sluice dev", or name another with --server URL`
		if down.Changed {
			f.Hint = "the connection broke before an answer came, so the change may have been made; look before you repeat it"
		}
	case errors.As(err, &late):
		f.Hint = "it may be overloaded or without a leader; see \"sluice status\", or allow more with --timeout"
		if late.Changed {
			f.Hint = "the change may have been made all the same; look before you repeat it"
		}
	case errors.As(err, &refusal):
		f.ofRefusal(refusal)
	}
	if errors.As(err, &own) && own.hint != "" {
		f.Hint = own.hint
	}
	return f
}

func (f *failure) ofRefusal(r *rest.Refusal) {
	f.HTTPStatus, f.TechnicalCode, f.Parameters, f.Details = r.Status, r.Code, r.Parameters, r.Details
	if len(f.Details) == 1 && f.Details[0].Message == r.Message && f.Details[0].Location == "" {
		f.Details = nil
	}
	switch {
	case r.Status == 401 && r.TokenSource == "":
		f.Message = "not authorised: no token was given for " + r.Server
		f.Hint = "the server wrote it to admin-token in its data directory; name that file with --token-file or SLUICE_TOKEN_FILE"
	case r.Status == 401:
		f.Message = fmt.Sprintf("not authorised: %s does not accept the token from %s", r.Server, r.TokenSource)
		f.Hint = "take admin-token from the data directory of the server that runs now; name it with --token-file"
	case r.Status == 403:
		f.Message = "not allowed: " + r.Message
	}
}
