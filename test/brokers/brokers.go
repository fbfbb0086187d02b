// Package brokers starts the real brokers that Sluice is proved against (Apache Kafka, Mosquitto, nats-server) as child
// processes on loopback, on leased ports, with their data in directories of the test. It is imported by tests and by
// bench only. It mocks nothing and skips nothing: what is not installed fails the test and says how to install it.
//
// Every child leads its own process group, logs to a file whose end is shown on failure, and is killed by the kernel
// when the test binary dies. A child is ended by its pid, never by name. Kill, Stop and Restart of one broker must not
// be called at the same time; everything else may be called from any goroutine.
package brokers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	// startLimit bounds the wait for a broker to serve. A Kafka node needs 3 s on two idle cores; builds and race
	// tests on the same cores have been seen to stretch that tenfold.
	startLimit = 2 * time.Minute
	// stopLimit bounds a polite stop where the caller sets no limit; then the child is killed.
	stopLimit = 20 * time.Second
	// answerLimit bounds one question whether a broker serves; then it is asked anew.
	answerLimit = 5 * time.Second
	// pollEvery is the pause between two questions whether a broker serves.
	pollEvery = 25 * time.Millisecond
)

func newTicker() *time.Ticker { return time.NewTicker(pollEvery) }

// Tool returns the path of a program that tests call, such as kcat, and fails the test where it is not installed.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := lookTool(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// lookTool also looks where Debian puts daemons, which is not in the path of every user.
func lookTool(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; run: make tools", name)
}
