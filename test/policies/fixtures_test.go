package policies

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// starter starts the server of a fixture, which ends with t, and returns its values: "url" and others.
type starter func(t *testing.T) map[string]string

var (
	// starters are filled by init functions alone.
	starters = map[string]starter{}
	started  sync.Map // name -> map[string]string
)

// register makes a fixture known: its file calls it from init.
func register(name string, start starter) { starters[name] = start }

// fixtureValue returns the value that NAME.VALUE names, and starts the fixture for the first. t is that of all tables.
func fixtureValue(t *testing.T, ref string) (string, error) {
	name, value, _ := strings.Cut(ref, ".")
	start, known := starters[name]
	if !known {
		return "", fmt.Errorf("no fixture %q", name)
	}
	values, running := started.Load(name)
	if !running {
		values = start(t)
		started.Store(name, values)
		t.Cleanup(func() { started.Delete(name) })
	}
	v, ok := values.(map[string]string)[value]
	if !ok {
		return "", fmt.Errorf("fixture %q has no value %q", name, value)
	}
	return v, nil
}
