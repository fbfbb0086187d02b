package security

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/aws"
)

// awsMechanism signs with the worker's own credentials, looked up anew at each authentication: those of the profile, else
// the environment's, else those of the profile "default". Roles and the metadata service would need AWS's SDK.
func awsMechanism(profile string) sasl.Mechanism {
	return aws.ManagedStreamingIAM(func(context.Context) (aws.Auth, error) { return awsCredentials(profile, os.Getenv) })
}

func awsCredentials(profile string, env func(string) string) (aws.Auth, error) {
	auth := aws.Auth{AccessKey: env("AWS_ACCESS_KEY_ID"), SecretKey: env("AWS_SECRET_ACCESS_KEY"), SessionToken: env("AWS_SESSION_TOKEN"),
		UserAgent: "sluice"}
	if profile == "" && auth.AccessKey != "" && auth.SecretKey != "" {
		return auth, nil
	}
	if profile == "" {
		if profile = env("AWS_PROFILE"); profile == "" {
			profile = "default"
		}
	}
	const check = "the worker has no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or awsProfileName and the shared credentials file"
	path := env("AWS_SHARED_CREDENTIALS_FILE")
	if path == "" {
		path = filepath.Join(env("HOME"), ".aws", "credentials")
	}
	values, err := awsProfile(path, profile)
	if err != nil {
		return aws.Auth{}, &Refused{Check: check, Err: err}
	}
	auth.AccessKey, auth.SecretKey = values["aws_access_key_id"], values["aws_secret_access_key"]
	auth.SessionToken = values["aws_session_token"]
	if auth.AccessKey == "" || auth.SecretKey == "" {
		return aws.Auth{}, &Refused{Check: check, Err: errors.New("the profile has no access key")}
	}
	return auth, nil
}

// awsProfile reads one section of AWS's shared credentials file.
func awsProfile(path, profile string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	values := map[string]string{}
	in := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			in = strings.TrimSpace(line[1:len(line)-1]) == profile
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && in && !strings.HasPrefix(line, "#") {
			values[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	return values, lines.Err()
}
