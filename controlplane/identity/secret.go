package identity

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Secret is the one thing that the nodes of a cluster share and nobody else knows.
type Secret [32]byte

const (
	secretPrefix = "sluice-cluster-secret-1."
	// maxSecretFile bounds what is read of a secret or token file, in bytes.
	maxSecretFile = 4 << 10
	// minToken is the shortest admin token accepted, in bytes: 16 random bytes in base64 are 22.
	minToken = 16
)

// Errors of reading secrets.
var (
	// ErrSecret is returned for a file that is not a cluster secret.
	ErrSecret = errors.New("not a cluster secret: it begins with " + secretPrefix + "; copy the file from another node of the cluster")
	// ErrToken is returned for a file that is not an admin token.
	ErrToken = fmt.Errorf("an admin token is one line of at least %d characters", minToken)
)

// LoadSecret reads the cluster secret.
func LoadSecret(path string) (Secret, error) {
	text, err := readLine(path)
	if err != nil {
		return Secret{}, fmt.Errorf("read cluster secret: %w", err)
	}
	return parseSecret(path, text)
}

// LoadOrCreateSecret reads the cluster secret, or makes a new one. Only the first node of a cluster may create it:
// every other node is given the same file.
func LoadOrCreateSecret(path string) (Secret, error) {
	text, err := loadOrCreate(path, secretPrefix)
	if err != nil {
		return Secret{}, fmt.Errorf("cluster secret: %w", err)
	}
	return parseSecret(path, text)
}

func parseSecret(path, text string) (Secret, error) {
	var s Secret
	body, ok := strings.CutPrefix(text, secretPrefix)
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if !ok || err != nil || len(raw) != len(s) {
		return s, fmt.Errorf("%s: %w", path, ErrSecret)
	}
	copy(s[:], raw)
	return s, nil
}

// LoadOrCreateToken reads the admin token of the management API, or makes one at first start.
func LoadOrCreateToken(path string) (string, error) {
	text, err := loadOrCreate(path, "")
	if err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	if len(text) < minToken || strings.ContainsAny(text, " \t\r\n") {
		return "", fmt.Errorf("%s: %w", path, ErrToken)
	}
	return text, nil
}

// loadOrCreate returns the line in the file; it creates the file with 32 random bytes behind prefix where there is none.
func loadOrCreate(path, prefix string) (string, error) {
	text, err := readLine(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("draw random bytes: %w", err)
	}
	text = prefix + base64.RawURLEncoding.EncodeToString(raw)
	if err := createDurable(path, []byte(text+"\n")); err != nil {
		if errors.Is(err, fs.ErrExist) { // another process was first
			return readLine(path)
		}
		return "", err
	}
	return text, nil
}

func readLine(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err //nolint:wrapcheck // the callers say what they read
	}
	if info.Size() > maxSecretFile {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxSecretFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err //nolint:wrapcheck // the callers say what they read
	}
	return strings.TrimSpace(string(b)), nil
}

// createDurable writes a new file, readable by its owner only, so that it is whole after a crash or not there: the
// content is on disk before the name is, and the name is on disk before this returns.
func createDurable(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	tmp, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Link(tmp.Name(), path); err != nil { // unlike rename, never replaces another's
		return fmt.Errorf("create %s: %w", path, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
