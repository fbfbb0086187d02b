// Package stack runs what a benchmark measures as processes of their own: control-plane nodes and workers, which are this
// same binary in other roles, and the children that make load or show a limit. It reads what each of them costs. Every
// process is ended by whoever started it; on Linux the kernel ends it with this one.
package stack

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

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
	Self  string // the binary
	Dir   string // logs and data
	Nodes []*Node
	nats  []string

	mu sync.Mutex
	// guards the following
	workers []*Worker // also those that were killed
	started int
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
		n.URL, n.Client = "http://"+management, many
		n.args = []string{"controlplane", "--node-id", n.ID, "--data-dir", filepath.Join(s.Dir, n.ID), "--log-level", "warn",
			"--management-addr", management, "--admin-addr", admin, "--raft-addr", raft[i], "--peers", strings.Join(peers, ","),
			"--cluster-secret-file", filepath.Join(s.Dir, "cluster-secret"), "--admin-token-file", token, "--nats-addr", s.nats[i]}
		if nodes > 1 {
			n.args = append(n.args, "--nats-cluster-addr", routes[i], "--nats-routes", strings.Join(routes, ","))
		}
		if n.Process, err = Start(s.Self, s.Dir, n.ID, n.args...); err != nil {
			return err
		}
		s.Nodes = append(s.Nodes, n)
	}
	for _, n := range s.Nodes {
		if err := n.AwaitOK(ctx, n.base+"/_node/health"); err != nil {
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
	if n.Process, err = Start(s.Self, s.Dir, n.ID, n.args...); err != nil {
		return err
	}
	return n.AwaitOK(ctx, n.base+"/_node/health")
}

// Leader asks the nodes who leads until one knows.
func (s *Stack) Leader(ctx context.Context) (*Node, error) {
	ask := make([]Management, 0, len(s.Nodes))
	for _, n := range s.Nodes {
		ask = append(ask, n.Management)
	}
	id, err := Leader(ctx, ask)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(s.Nodes, func(n *Node) bool { return n.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("%s leads, which is none of ours", id)
	}
	return s.Nodes[i], nil
}

// AddWorker starts a worker and waits until it is ready. Workers may be added side by side.
func (s *Stack) AddWorker(ctx context.Context, flags ...string) (*Worker, error) {
	addrs, err := freeAddrs(2)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.started++
	name := fmt.Sprintf("worker-%d", s.started)
	s.mu.Unlock()
	data := filepath.Join(s.Dir, name)
	w := &Worker{Gateway: "http://" + addrs[0], Admin: "http://" + addrs[1]}
	args := append([]string{"worker", "--node-id", name, "--gateway-addr", addrs[0], "--admin-addr", addrs[1], "--data-dir", data,
		"--log-level", "warn", "--worker-token-file", filepath.Join(s.Dir, s.Nodes[0].ID, "worker-token"),
		"--nats-url", "tls://" + strings.Join(s.nats, ",tls://")}, flags...)
	if w.Process, err = Start(s.Self, s.Dir, name, args...); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.workers = append(s.workers, w)
	s.mu.Unlock()
	if err := w.AwaitOK(ctx, w.Admin+"/_node/ready"); err != nil {
		return nil, err
	}
	w.Token, err = readToken(filepath.Join(data, "admin-token"))
	return w, err
}

// Close ends everything.
func (s *Stack) Close() {
	s.mu.Lock()
	workers := s.workers
	s.mu.Unlock()
	for _, w := range workers {
		w.Kill()
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
