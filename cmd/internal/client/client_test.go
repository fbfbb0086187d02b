package client_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/catalog"
	"github.com/sluice-gateway/sluice/cmd/internal/client"
	"github.com/sluice-gateway/sluice/connectors/builtin"
	policies "github.com/sluice-gateway/sluice/policies/builtin"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

var update = flag.Bool("update", false, "write the golden files")

// home is this package's directory; tests that give relative file names work in another.
var home, _ = os.Getwd()

// tried tries drafts with everything that this binary has.
var tried = catalog.Try(builtin.Entrypoints, builtin.Endpoints, policies.Policies, policies.Resources, nil)

// ran is what a command printed and how it ended.
type ran struct {
	out, err string
	code     int
}

// run runs a command line as main would, with a token and the server's address in its flags where it takes them.
func run(t *testing.T, server, stdin string, args ...string) ran {
	t.Helper()
	return runEnv(t, apidef.Validation{}, server, stdin, args...)
}

func runEnv(t *testing.T, env apidef.Validation, server, stdin string, args ...string) ran {
	t.Helper()
	root := &cobra.Command{Use: "sluice"}
	root.AddCommand(client.Commands(env, tried)...)
	if server != "" {
		args = append(args, "--server", server, "--token-file", tokenFile(t, fakeToken))
	}
	root.SetArgs(args)
	var out, errOut bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetIn(strings.NewReader(stdin))
	code := client.Execute(context.Background(), root)
	return ran{out: out.String(), err: errOut.String(), code: code}
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "admin-token")
	if err := os.WriteFile(name, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// golden compares what was printed with testdata/<test>/<name>.golden.
func golden(t *testing.T, name string, got ran, hide ...string) {
	t.Helper()
	text := "exit " + itoa(got.code) + "\n--- out\n" + got.out + "--- err\n" + got.err
	text = stableIDs(text)
	for i := 0; i+1 < len(hide); i += 2 {
		text = strings.ReplaceAll(text, hide[i], hide[i+1])
	}
	test, _, _ := strings.Cut(t.Name(), "/")
	file := filepath.Join(home, "testdata", test, name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got; refresh with -update)\n%s", file, diff)
	}
}

// randomID is a version 4 UUID; derived ones are version 5 and never change.
var randomID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// stableIDs numbers random identifiers in the order in which they are met, at their width.
func stableIDs(text string) string {
	seen := map[string]string{}
	text = randomID.ReplaceAllStringFunc(text, func(id string) string {
		if seen[id] == "" {
			seen[id] = fmt.Sprintf("00000000-0000-0000-0000-%012d", len(seen)+1)
		}
		return seen[id]
	})
	return quotedID.ReplaceAllString(text, "$1: $2")
}

// quotedID is an identifier in YAML with the quotes that some need, since they look like a number.
var quotedID = regexp.MustCompile(`(?m)^([ -]*[A-Za-z]+): "(00000000-[0-9-]{27})"$`)

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + itoa(n%10)
	}
	return string(rune('0' + n))
}

const orders = `name: orders-stream
apiVersion: "1.0"
definitionVersion: 4.0.0
type: message
listeners:
  - type: http
    paths: [{path: /orders}]
    entrypoints: [{type: sse, qos: auto}]
endpointGroups:
  - name: default
    type: kafka
    endpoints:
      - {name: default, type: kafka, configuration: {bootstrapServers: "kafka:9092", consumer: {enabled: true, topics: [orders]}}}
plans:
  - {name: Keyless, security: {type: key-less}, status: published}
`

// seeds are the definitions that users were promised, verbatim.
var seeds = filepath.Join(home, "../../../proto/apidef/testdata/seeds")

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
