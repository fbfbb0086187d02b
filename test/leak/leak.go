// Package leak finds goroutines that a test package left running. A goroutine of ours has an owner that waits for it,
// so after the tests there is none.
package leak

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests of a package and fails it where goroutines are left. To be called from TestMain by packages that
// share nothing; others pass Check to brokers.Main.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := Check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Check returns an error that holds the stacks of the goroutines left, once they have had a moment to end.
func Check() error {
	http.DefaultClient.CloseIdleConnections()
	// fasthttp refreshes the date of its answers in a goroutine that it starts once and never ends (header.go, v1.74).
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1")); err != nil {
		return fmt.Errorf("goroutines left behind: %w", err)
	}
	return nil
}
