// Package stack runs what a benchmark measures as processes of their own: control-plane nodes and workers, which are this
// same binary in other roles, and the children that make load or show a limit. It reads what each of them costs. Every
// process is ended by whoever started it; on Linux the kernel ends it with this one.
package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// readyWithin bounds the start of a role on a busy machine.
	readyWithin = time.Minute
	// pollEvery is the pause between two questions whether a role is ready.
	pollEvery = 20 * time.Millisecond
	// logTail is how much of a log is shown with a failure, in bytes.
	logTail = 4 << 10
)

// Process is one running role.
type Process struct {
	Name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// start runs self with args, its output in dir/name.log.
func start(self, dir, name string, args ...string) (*Process, error) {
	p := &Process{Name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(self, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = dir, log, log, attributes()
	started := make(chan error)
	go func() {
		// What ends the child with its parent is bound to the thread that forks, so that thread waits for it too.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process as a power cut would and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Tail is the end of the log.
func (p *Process) Tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-logTail):])
}

// await asks url until it answers 200.
func (p *Process) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := "no answer"
	for {
		if req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil); err != nil {
			return err
		} else if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			last = res.Status
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %v\n%s", p.Name, p.err, p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready at %s (%s): %w\n%s", p.Name, url, last, ctx.Err(), p.Tail())
		}
	}
}

// Node is one control-plane node.
type Node struct {
	*Process
	Management
	ID   string
	args []string
	base string // of its technical API
}

// Worker is one worker.
type Worker struct {
	*Process
	Gateway string // "http://127.0.0.1:port"
	Admin   string // the same of its technical API
	Token   string // for it
}

// Stack is a control plane and its workers.
type Stack struct {
	Self    string // the binary
	Dir     string // logs and data
	Nodes   []*Node
	Workers []*Worker
	nats    []string
}

// New starts a control plane of so many nodes and waits until they are healthy. Close ends everything.
func New(ctx context.Context, self, dir string, nodes int) (*Stack, error) {
	s := &Stack{Self: self, Dir: dir}
	if err := s.startNodes(ctx, nodes); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stack) startNodes(ctx context.Context, nodes int) error {
	addrs, err := freeAddrs(5 * nodes)
	if err != nil {
		return err
	}
	take := func() string { a := addrs[0]; addrs = addrs[1:]; return a }
	var peers, routes, raft []string
	for i := range nodes {
		raft, routes, s.nats = append(raft, take()), append(routes, take()), append(s.nats, take())
		peers = append(peers, fmt.Sprintf("node-%d=%s", i+1, raft[i]))
	}
	token := filepath.Join(s.Dir, "admin-token")
	for i := range nodes {
		management, admin := take(), take()
		n := &Node{ID: fmt.Sprintf("node-%d", i+1), base: "http://" + admin}
		n.URL = "http://" + management
		n.args = []string{"controlplane", "--node-id", n.ID, "--data-dir", filepath.Join(s.Dir, n.ID), "--log-level", "warn",
			"--management-addr", management, "--admin-addr", admin, "--raft-addr", raft[i], "--peers", strings.Join(peers, ","),
			"--cluster-secret-file", filepath.Join(s.Dir, "cluster-secret"), "--admin-token-file", token, "--nats-addr", s.nats[i]}
		if nodes > 1 {
			n.args = append(n.args, "--nats-cluster-addr", routes[i], "--nats-routes", strings.Join(routes, ","))
		}
		if n.Process, err = start(s.Self, s.Dir, n.ID, n.args...); err != nil {
			return err
		}
		s.Nodes = append(s.Nodes, n)
	}
	for _, n := range s.Nodes {
		if err := n.await(ctx, n.base+"/_node/health"); err != nil {
			return err
		}
		if n.Token, err = readToken(token); err != nil {
			return err
		}
	}
	return nil
}

// Restart starts a node again that was killed, on its data and addresses, and waits until it is healthy.
func (s *Stack) Restart(ctx context.Context, n *Node) (err error) {
	if n.Process, err = start(s.Self, s.Dir, n.ID, n.args...); err != nil {
		return err
	}
	return n.await(ctx, n.base+"/_node/health")
}

// Leader asks the nodes who leads until one knows.
func (s *Stack) Leader(ctx context.Context) (*Node, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for ctx.Err() == nil {
		for _, n := range s.Nodes {
			var view struct {
				Leader string `json:"leader"`
			}
			if _, body, err := n.Do(ctx, http.MethodGet, "/management/cluster", nil); err != nil || json.Unmarshal(body, &view) != nil {
				continue
			}
			for _, m := range s.Nodes {
				if m.ID == view.Leader {
					return m, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("no node knows a leader: %w", ctx.Err())
}

// AddWorker starts a worker and waits until it is ready.
func (s *Stack) AddWorker(ctx context.Context, flags ...string) (*Worker, error) {
	addrs, err := freeAddrs(2)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("worker-%d", len(s.Workers)+1)
	data := filepath.Join(s.Dir, name)
	w := &Worker{Gateway: "http://" + addrs[0], Admin: "http://" + addrs[1]}
	args := append([]string{"worker", "--node-id", name, "--gateway-addr", addrs[0], "--admin-addr", addrs[1], "--data-dir", data,
		"--log-level", "warn", "--worker-token-file", filepath.Join(s.Dir, s.Nodes[0].ID, "worker-token"),
		"--nats-url", "tls://" + strings.Join(s.nats, ",tls://")}, flags...)
	if w.Process, err = start(s.Self, s.Dir, name, args...); err != nil {
		return nil, err
	}
	s.Workers = append(s.Workers, w)
	if err := w.await(ctx, w.Admin+"/_node/ready"); err != nil {
		return nil, err
	}
	w.Token, err = readToken(filepath.Join(data, "admin-token"))
	return w, err
}

// Close ends everything.
func (s *Stack) Close() {
	for _, w := range s.Workers {
		if w.Process != nil {
			w.Kill()
		}
	}
	for _, n := range s.Nodes {
		n.Kill()
	}
}

func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	return string(bytes.TrimSpace(b)), err
}

// FreeAddr is a loopback address that nobody listens on.
func FreeAddr() (string, error) {
	addrs, err := freeAddrs(1)
	if err != nil {
		return "", err
	}
	return addrs[0], nil
}

// freeAddrs finds n loopback addresses that nobody listens on. They are held until all are found, so that they differ.
func freeAddrs(n int) ([]string, error) {
	var out []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		out = append(out, ln.Addr().String())
	}
	return out, nil
}
