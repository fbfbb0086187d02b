package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/sluice-gateway/sluice/bench/stack"
)

// Embedded starts a broker that the binary brings along, "kafka" or "mqtt", in a process of its own, and returns its address and
// what ends it.
func Embedded(ctx context.Context, self, kind string) (addr string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "sluice-bench-broker-")
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self, stack.ChildCommand[0], kind, dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // its end is the child's
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait() // it was asked to end
		_ = os.RemoveAll(dir)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start the embedded %s: %w", kind, err)
	}
	return strings.TrimSpace(line), stop, nil
}
