package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/source"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// Tried runs a draft's flows on messages. The error is apidef.Problems where the draft cannot be served as it is written.
type Tried func(ctx context.Context, draft *apidef.API, t management.Trial) (*management.TrialReport, error)

// maxTried bounds a file of messages, in bytes.
const maxTried = 16 << 20

func newTry(env apidef.Validation, tried Tried) *cobra.Command {
	var t management.Trial
	var file, messages string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "try -f FILE (--message FILE | --from-topic TOPIC)",
		Short: "Run a draft's flows on messages and show what becomes of them",
		Long: `Run the flows of an API definition on messages, in this process, and show for each message what every step did, what
changed, what was dropped and why, and what the chain costs once it is warm. Nothing is committed, and nothing leaves:
calls that steps would make are shown and not made.

Messages come from a file (a JSON object, an array or one object per line, with the members content or contentBase64,
key, headers and topic; any other JSON is the content of a message itself; - is standard input), or from the end of a
topic, which is read with the definition's own connection by a reader that saves nothing.

` + exitHelp,
		Example: example(
			"sluice try -f api.yaml --message m.json",
			"sluice try -f api.yaml --from-topic orders --last 20",
			"echo '{\"order\":1}' | sluice try -f api.yaml --message - --phase publish --header 'X-Tenant: a' -o json",
		),
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "the definition: a file, or - for standard input")
	f.StringVar(&messages, "message", "", "file with messages, or -")
	f.StringVar(&t.FromTopic, "from-topic", "", "topic to read messages from")
	f.IntVar(&t.Last, "last", 100, "how many of its last messages to read, at most 1000")
	f.StringVar(&t.Phase, "phase", "subscribe", "whose flows run: subscribe or publish")
	f.StringVar(&t.Entrypoint, "entrypoint", "", "type of the entrypoint (default: the first of the phase)")
	f.StringVar(&t.Plan, "plan", "", "id or name of the plan (default: the first that serves)")
	f.StringVar(&t.Path, "path", "", "what the client asks for, behind the path of the API")
	f.StringVar(&t.Query, "query", "", "its query")
	headers := f.StringArray("header", nil, "a header that the client sends, 'Name: value' (may be repeated)")
	f.StringToStringVar(&t.Metadata, "metadata", nil, "metadata of the client's subscription, name=value")
	f.DurationVar(&timeout, "timeout", 30*time.Second, "how long it may take")
	outputFlag(cmd)
	named(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := fill(cmd, &t, *headers, messages); err != nil {
			return err
		}
		draft, err := draftOf(cmd, file, env)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("not done within %s; --timeout gives it longer", timeout))
		defer cancel()
		report, err := tried(ctx, draft.API, t)
		if err != nil {
			return notTried(cmd, file, draft, err)
		}
		if format := formatOf(cmd); format.Machine() {
			return output.Write(cmd.OutOrStdout(), format, report)
		}
		return writeTrial(cmd.OutOrStdout(), report)
	}
	return cmd
}

// fill completes the request from the command line.
func fill(cmd *cobra.Command, t *management.Trial, headers []string, messages string) error {
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return usageOf(cmd, "--header %q: must be 'Name: value'", h)
		}
		if t.Headers == nil {
			t.Headers = map[string]string{}
		}
		t.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	switch {
	case (messages == "") == (t.FromTopic == ""):
		return usageOf(cmd, "say which messages: --message FILE or --from-topic TOPIC")
	case messages == "":
		return nil
	}
	data, err := readTried(cmd, messages)
	if err != nil {
		return &exit{code: ExitUsage, err: err}
	}
	if t.Messages, err = messagesOf(data); err != nil {
		return &exit{code: ExitUsage, err: fmt.Errorf("%s: %w", messages, err)}
	}
	return nil
}

func readTried(cmd *cobra.Command, name string) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // the user names it
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxTried+1))
	if err == nil && len(data) > maxTried {
		err = fmt.Errorf("%s: is larger than %d bytes", name, maxTried)
	}
	return data, err
}

// members are those of a message; an object with none of them is the content of one.
var members = []string{"content", "contentBase64", "key", "headers", "topic"}

// messagesOf reads messages: JSON texts behind each other, of which an array is several.
func messagesOf(data []byte) ([]management.TrialMessage, error) {
	var out []management.TrialMessage
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		var one json.RawMessage
		switch err := d.Decode(&one); {
		case err == io.EOF && len(out) == 0:
			return nil, errors.New("holds no message")
		case err == io.EOF:
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("is no JSON, at byte %d: %w", d.InputOffset(), err)
		}
		items := []json.RawMessage{one}
		if one[0] == '[' {
			if err := json.Unmarshal(one, &items); err != nil {
				return nil, err
			}
		}
		for _, item := range items {
			m, err := messageOf(item)
			if err != nil {
				return nil, fmt.Errorf("message %d: %w", len(out)+1, err)
			}
			out = append(out, m)
		}
	}
}

func messageOf(item json.RawMessage) (m management.TrialMessage, err error) {
	var object map[string]json.RawMessage
	whole := string(item)
	if json.Unmarshal(item, &object) != nil || !slices.ContainsFunc(members, func(name string) bool { _, ok := object[name]; return ok }) {
		m.Content = &whole
		return m, nil
	}
	if c, ok := object["content"]; ok && c[0] != '"' && string(c) != "null" { // JSON as it is
		text := string(c)
		m.Content = &text
		delete(object, "content")
	}
	if h, ok := object["headers"]; ok {
		if m.Headers, err = headersOf(h); err != nil {
			return m, err
		}
		delete(object, "headers")
	}
	rest, err := json.Marshal(object)
	if err != nil {
		return m, err
	}
	strict := json.NewDecoder(bytes.NewReader(rest))
	strict.DisallowUnknownFields()
	return m, strict.Decode(&m)
}

// headersOf reads headers whose values are texts or lists of texts.
func headersOf(raw json.RawMessage) (map[string][]string, error) {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, errors.New("headers must be an object of texts, or of lists of texts")
	}
	out := map[string][]string{}
	for name, v := range object {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, item := range list {
			text, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("header %q must be a text or a list of texts", name)
			}
			out[name] = append(out[name], text)
		}
	}
	return out, nil
}

// draftOf reads the one definition that is tried. Its problems are told as validate tells them.
func draftOf(cmd *cobra.Command, file string, env apidef.Validation) (*source.Definition, error) {
	if file == "" {
		return nil, usageOf(cmd, "say which definition with -f FILE")
	}
	loaded, err := load(cmd, []string{file}, env)
	if err != nil {
		return nil, err
	}
	files, valid := problemsOf(loaded)
	if !valid {
		for _, f := range files {
			if err := f.write(cmd.ErrOrStderr(), output.Colour(cmd.ErrOrStderr())); err != nil {
				return nil, err
			}
		}
		return nil, &exit{code: ExitRefused, err: errTold}
	}
	if len(loaded) != 1 || len(loaded[0].Definitions) != 1 {
		return nil, usageOf(cmd, "%s: one definition is tried at a time", file)
	}
	return loaded[0].Definitions[0], nil
}

// notTried tells why a draft was not tried: what is wrong with it where it is, or what else went wrong.
func notTried(cmd *cobra.Command, file string, draft *source.Definition, err error) error {
	var problems apidef.Problems
	if !errors.As(err, &problems) {
		return &exit{code: ExitRefused, err: err}
	}
	told := fileProblems{File: file}
	for _, p := range problems {
		p.Pointer = draft.Origin(p.Pointer)
		told.Problems = append(told.Problems, p)
	}
	if err := told.write(cmd.ErrOrStderr(), output.Colour(cmd.ErrOrStderr())); err != nil {
		return err
	}
	return &exit{code: ExitRefused, err: errTold}
}
