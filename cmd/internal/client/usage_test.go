package client_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// TestUsage is every way to write a command wrong.
func TestUsage(t *testing.T) {
	t.Setenv("SLUICE_TOKEN", "x")
	for _, c := range []struct{ name, args string }{
		{"unknown-command", "aply -f x"},
		{"unknown-subcommand", "get api-s"},
		{"unknown-flag", "apply --fiel x"},
		{"unknown-flag-json", "get apis -o json --nope"},
		{"bad-format", "get apis -o xml"},
		{"bad-dialect", "get apis --dialect v2"},
		{"dialect-with-name", "get apis --dialect crd -o name"},
		{"apply-nothing", "apply"},
		{"apply-bad-wait", "apply -f x --wait soon"},
		{"apply-long-wait", "apply -f x --wait 5m"},
		{"apply-negative-wait", "apply -f x --wait -1s"},
		{"deploy-nothing", "deploy"},
		{"deploy-two", "deploy a b"},
		{"delete-nothing", "delete api"},
		{"plan-nothing", "plan publish orders"},
		{"plan-security", "plan create orders"},
		{"plan-security-unknown", "plan create orders --security password"},
		{"plan-configuration", "plan create orders --security jwt --configuration {"},
		{"plan-configuration-file", "plan create orders --security jwt --configuration @nothing.json"},
		{"plan-validation", "plan create orders --security jwt --validation never"},
		{"server", "get apis --server 127.0.0.1:8083"},
		{"timeout", "get apis --timeout 0s"},
		{"ca-file", "get apis --ca-file nothing.pem"},
		{"plain-http", "get apis --server http://sluice.example:8083"},
		{"token-file", "get apis --token-file nothing/admin-token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			golden(t, c.name, run(t, "", "", strings.Fields(c.args)...))
		})
	}
}

func TestCommands_HaveHelp(t *testing.T) {
	t.Parallel()
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no short text or no example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Long, "\n") {
			if len([]rune(line)) > 120 {
				t.Errorf("%s: a line of its help is longer than 120 characters: %s", cmd.CommandPath(), line)
			}
		}
		for _, c := range cmd.Commands() {
			check(c)
		}
	}
	for _, cmd := range client.Commands(apidef.Validation{}, tried) {
		check(cmd)
	}
}

func TestHelp(t *testing.T) {
	golden(t, "apply", run(t, "", "", "apply", "--help"))
	golden(t, "get", run(t, "", "", "get"))
	golden(t, "plan", run(t, "", "", "plan"))
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := run(t, "", "", "version")
	if got.code != 0 || !strings.HasPrefix(got.out, "sluice v") {
		t.Errorf("%+v", got)
	}
	got = run(t, "", "", "version", "-o", "json")
	if got.code != 0 || !strings.Contains(got.out, `"version": "v`) {
		t.Errorf("%+v", got)
	}
}

func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	ln.Close()
	golden(t, "text", run(t, url, "", "status"), url, "http://SERVER")
	golden(t, "json", run(t, url, "", "status", "-o", "json"), url, "http://SERVER")
}

// TestToken tells which token is taken: the flag's, else SLUICE_TOKEN_FILE, else SLUICE_TOKEN, else .sluice/admin-token.
func TestToken(t *testing.T) {
	f, url := newFake(t)
	t.Chdir(t.TempDir())
	var seen string
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		seen = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		return false
	}
	expect := func(want string, args ...string) {
		t.Helper()
		got := run(t, "", "", append([]string{"get", "apis", "--server", url}, args...)...)
		if f.mu.Lock(); seen != want {
			t.Errorf("sent %q, want %q", seen, want)
		}
		f.mu.Unlock()
		if from := strings.Contains(got.err, "from"); want != "" && !from {
			t.Errorf("does not tell where the token came from: %s", got.err)
		}
	}
	got := run(t, "", "", "get", "apis", "--server", url)
	golden(t, "none", got, url, "http://SERVER")
	if err := os.Mkdir(".sluice", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, ".", ".sluice/admin-token", "of-dev\n")
	expect("of-dev")
	t.Setenv("SLUICE_TOKEN", "of-env")
	expect("of-env")
	write(t, ".", "env-file", "of-env-file")
	t.Setenv("SLUICE_TOKEN_FILE", "env-file")
	expect("of-env-file")
	write(t, ".", "flag-file", "of-flag")
	expect("of-flag", "--token-file", "flag-file")
	write(t, ".", "two-lines", "a\nb\n")
	golden(t, "two-lines", run(t, "", "", "get", "apis", "--server", url, "--token-file", "two-lines"))
	write(t, ".", "empty", "")
	golden(t, "empty", run(t, "", "", "get", "apis", "--server", url, "--token-file", "empty"))
}

func TestServer_FromTheEnvironment(t *testing.T) {
	_, url := newFake(t)
	t.Setenv("SLUICE_SERVER", url)
	t.Setenv("SLUICE_TOKEN", fakeToken)
	if got := run(t, "", "", "status"); got.code != 0 {
		t.Errorf("%+v", got)
	}
}

func TestCompletion(t *testing.T) {
	_, url := newFake(t)
	t.Setenv("SLUICE_SERVER", url)
	t.Setenv("SLUICE_TOKEN", fakeToken)
	run(t, url, orders, "apply", "-f", "-")
	run(t, url, manifest("a", "Invoice stream", "/a"), "apply", "-f", "-")
	run(t, url, manifest("b", "Same", "/b"), "apply", "-f", "-")
	run(t, url, manifest("c", "same", "/c"), "apply", "-f", "-")
	for _, c := range []struct{ name, args string }{
		{"start", "start"},
		{"start-typed", "start o"},
		{"get-api", "get api i"},
		{"plan", "plan close orders-stream"},
		{"formats", "get apis -o"},
		{"securities", "plan create orders --security"},
	} {
		args := append([]string{"__complete"}, strings.Fields(c.args)...)
		if !strings.HasSuffix(c.args, " o") && !strings.HasSuffix(c.args, " i") {
			args = append(args, "")
		}
		golden(t, c.name, run(t, "", "", args...))
	}
}

// TestExecute_Interrupted presses Ctrl-C while the server thinks.
func TestExecute_Interrupted(t *testing.T) {
	f, url := newFake(t)
	ctx, interrupt := context.WithCancel(context.Background())
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		interrupt()
		<-r.Context().Done()
		return true
	}
	root := &cobra.Command{Use: "sluice"}
	root.AddCommand(client.Commands(apidef.Validation{}, tried)...)
	root.SetArgs([]string{"get", "apis", "--server", url, "--token-file", tokenFile(t, fakeToken)})
	var out, errOut bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errOut)
	if code := client.Execute(ctx, root); code != client.ExitInterrupted || errOut.String() != "sluice: interrupted\n" {
		t.Errorf("exit %d: %s", code, errOut.String())
	}
}

func TestExecute_TimesOut(t *testing.T) {
	f, url := newFake(t)
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}
	start := time.Now()
	golden(t, "read", run(t, url, "", "get", "apis", "--timeout", "50ms"), url, "http://SERVER")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}
