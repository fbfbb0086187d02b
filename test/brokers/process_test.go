package brokers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// parentEnv makes this test binary the parent that TestProcess_DiesWithItsParent kills.
const parentEnv = "SLUICE_TEST_PARENT_LOG"

func sleeper(t *testing.T, script string) command {
	t.Helper()
	dir := t.TempDir()
	return command{name: "sleeper", path: "/bin/sh", args: []string{"-c", script}, dir: dir, logPath: filepath.Join(dir, "log")}
}

func TestProcess_DiesWithItsParent(t *testing.T) {
	if log := os.Getenv(parentEnv); log != "" {
		p, err := command{name: "sleeper", path: "/bin/sh", args: []string{"-c", "sleep 600"}, logPath: log}.start()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("pid=%d\n", p.pid)
		<-p.done
		return
	}
	parent := exec.Command(os.Args[0], "-test.run", "^TestProcess_DiesWithItsParent$")
	parent.Env = append(os.Environ(), parentEnv+"="+filepath.Join(t.TempDir(), "log"))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(line), "pid="))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	err = await(t.Context(), "the child's end", nil, func(context.Context) error {
		if alive(pid) {
			return errors.New("it lives")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// alive is false for a zombie too: who reaps an orphan is not ours to say.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestProcess_StopWaitsThenKills(t *testing.T) {
	t.Parallel()
	p, err := sleeper(t, "trap '' TERM; echo up; while :; do sleep 0.05; done").start()
	if err != nil {
		t.Fatal(err)
	}
	err = await(t.Context(), "the trap", []*process{p}, func(context.Context) error {
		if !strings.Contains(tail(p.logPath), "up") {
			return errors.New("not set")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v, want to hear that it was killed", err)
	}
	if p.running() {
		t.Error("it runs on")
	}
}

func TestAwait_TellsTheLogOfAChildThatEnded(t *testing.T) {
	t.Parallel()
	p, err := sleeper(t, "echo out of luck; exit 3").start()
	if err != nil {
		t.Fatal(err)
	}
	err = await(t.Context(), "sleeper", []*process{p}, func(context.Context) error { return errors.New("not ready") })
	if err == nil || !strings.Contains(err.Error(), "out of luck") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want the log and the exit status", err)
	}
}
