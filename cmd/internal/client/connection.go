package client

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/cmd/internal/version"
)

const (
	defaultServer    = "http://127.0.0.1:8083"
	defaultTokenFile = ".sluice/admin-token" // where sluice dev writes it
	maxToken         = 64 << 10              // bytes of a token file; a personal token is far below

	envServer    = "SLUICE_SERVER"
	envTokenFile = "SLUICE_TOKEN_FILE"
	envToken     = "SLUICE_TOKEN"
)

// connection is where the server is, as flags and environment say it.
type connection struct {
	server, tokenFile, org, env, caFile string
	insecureHTTP                        bool
	timeout                             time.Duration
}

// connect adds the connection's flags to cmd.
func connect(cmd *cobra.Command) *connection {
	c := &connection{}
	f := cmd.Flags()
	f.StringVar(&c.server, "server", "", "management API to call (default $"+envServer+", else "+defaultServer+")")
	f.StringVar(&c.tokenFile, "token-file", "", "file that holds the token (default $"+envTokenFile+", else the token in $"+envToken+", else "+defaultTokenFile+")")
	f.StringVar(&c.org, "org", "DEFAULT", "organization")
	f.StringVar(&c.env, "env", "DEFAULT", "environment")
	f.StringVar(&c.caFile, "ca-file", "", "PEM file of the certificates to trust instead of the system's")
	f.BoolVar(&c.insecureHTTP, "insecure-http", false, "send the token over plain http to an address that is not loopback")
	f.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long one call to the server may take")
	_ = cmd.MarkFlagFilename("token-file")
	_ = cmd.MarkFlagFilename("ca-file")
	return c
}

// dial makes the client. It sends nothing.
func (c *connection) dial() (*rest.Client, error) {
	server := c.server
	if server == "" {
		server = os.Getenv(envServer)
	}
	if server == "" {
		server = defaultServer
	}
	if c.timeout <= 0 {
		return nil, usage("--timeout must be more than 0, e.g. 30s")
	}
	token, from, err := c.token()
	if err != nil {
		return nil, err
	}
	var ca []byte
	if c.caFile != "" {
		if ca, err = os.ReadFile(c.caFile); err != nil {
			return nil, &rest.ConfigError{Message: "--ca-file: " + pathError(err)}
		}
	}
	return rest.New(rest.Config{
		Server: server, Token: token, TokenSource: from, Org: c.org, Env: c.env, CA: ca,
		InsecureHTTP: c.insecureHTTP, Timeout: c.timeout, UserAgent: "sluice/" + version.String(),
	})
}

// token finds the token and says where: --token-file, else the environment, else where sluice dev writes it.
func (c *connection) token() (token, from string, err error) {
	file := c.tokenFile
	if file == "" {
		file = os.Getenv(envTokenFile)
	}
	if file == "" {
		if t := strings.TrimSpace(os.Getenv(envToken)); t != "" {
			return t, "$" + envToken, nil
		}
		if _, err := os.Stat(defaultTokenFile); errors.Is(err, fs.ErrNotExist) {
			return "", "", nil
		}
		file = defaultTokenFile
	}
	token, err = readToken(file)
	if err != nil {
		return "", "", &exit{code: ExitUnauthorised, err: fmt.Errorf("read the token: %w", err),
			hint: "the server writes admin-token into its data directory, readable by the user that runs it; name it with --token-file"}
	}
	return token, file, nil
}

func readToken(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", errors.New(pathError(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	token := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", errors.New(pathError(err))
	case token == "":
		return "", fmt.Errorf("%s is empty", name)
	case len(data) > maxToken || strings.ContainsAny(token, "\r\n\x00 "):
		return "", fmt.Errorf("%s does not hold a token, which is one line", name)
	}
	return token, nil
}

// pathError is a file's error without the system call.
func pathError(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Path + ": " + p.Err.Error()
	}
	return err.Error()
}

// formatFlag is the value of -o.
type formatFlag struct {
	value   output.Format
	allowed []output.Format
}

func (f *formatFlag) String() string { return string(f.value) }
func (f *formatFlag) Type() string   { return "format" }
func (f *formatFlag) Set(s string) error {
	for _, a := range f.allowed {
		if s == string(a) {
			f.value = a
			return nil
		}
	}
	return fmt.Errorf("choose one of: %s", f.names(", "))
}

func (f *formatFlag) names(separator string) string {
	var b strings.Builder
	for i, a := range f.allowed {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(string(a))
	}
	return b.String()
}

// outputFlag adds -o with the formats that cmd has.
func outputFlag(cmd *cobra.Command, more ...output.Format) *formatFlag {
	f := &formatFlag{allowed: append([]output.Format{output.JSON, output.YAML}, more...)}
	cmd.Flags().VarP(f, "output", "o", "write "+f.names("|")+" instead of text")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(strings.Split(f.names(" "), " "), cobra.ShellCompDirectiveNoFileComp))
	return f
}

// formatOf is the format that cmd was asked for, also where its command line turned out wrong.
func formatOf(cmd *cobra.Command) output.Format {
	if flag := cmd.Flags().Lookup("output"); flag != nil {
		if f, ok := flag.Value.(*formatFlag); ok {
			return f.value
		}
	}
	return output.Table
}
