package process

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/bench/stack"
)

// Node is one control-plane process of a cluster and the addresses it keeps over restarts.
type Node struct {
	*Process
	Management
	ID      string
	DataDir string
	args    []string
	dir     string
	admin   string
}

// Restart starts the node again on its data and addresses, after Kill or Stop, without waiting for it.
func (n *Node) Restart() (err error) {
	n.Process, err = Start(n.ID, n.dir, n.args...)
	return err
}

// AwaitHealthy waits until the node says that it is healthy: it knows a leader and NATS is up.
func (n *Node) AwaitHealthy(ctx context.Context) error {
	return n.AwaitOK(ctx, n.admin+"/_node/health")
}

// Worker is one worker process and the addresses it keeps over restarts.
type Worker struct {
	*Process
	Gateway string // "http://127.0.0.1:port"
	Admin   string // "http://127.0.0.1:port"
	name    string
	dir     string
	args    []string
}

// Restart starts the worker again on its data and addresses, after Kill or Stop, without waiting for it.
func (w *Worker) Restart() (err error) {
	w.Process, err = Start(w.name, w.dir, w.args...)
	return err
}

// AwaitReady waits until the worker serves the definitions it is meant to.
func (w *Worker) AwaitReady(ctx context.Context) error { return w.AwaitOK(ctx, w.Admin+"/_node/ready") }

// Cluster is a control plane of several processes and their workers.
type Cluster struct {
	Nodes   []*Node
	Workers []*Worker
	// NATS is where the control plane's own NATS listens, of each node; empty where an external one is used.
	NATS []string
	dir  string
}

// StartCluster runs size control-plane nodes with NATS of their own and waits until they are healthy. Flags are added to
// each node's, and go before ours.
func StartCluster(ctx context.Context, dir string, size int, flags ...string) (*Cluster, error) {
	c := &Cluster{dir: dir}
	var routes []string
	for range size {
		routes = append(routes, FreeAddr())
		c.NATS = append(c.NATS, FreeAddr())
	}
	return c, c.start(ctx, size, func(i int) []string {
		return append([]string{"--nats-addr", c.NATS[i], "--nats-cluster-addr", routes[i], "--nats-routes", strings.Join(routes, ",")}, flags...)
	})
}

// StartClusterOn runs size control-plane nodes on an external NATS, of which flags tell, --nats-url among them.
func StartClusterOn(ctx context.Context, dir string, size int, flags ...string) (*Cluster, error) {
	c := &Cluster{dir: dir}
	return c, c.start(ctx, size, func(int) []string { return flags })
}

func (c *Cluster) start(ctx context.Context, size int, flags func(i int) []string) error {
	// The first node to start makes both files; the others find them.
	secretFile, tokenFile := filepath.Join(c.dir, "cluster-secret"), filepath.Join(c.dir, "admin-token")
	var peers []string
	raft := make([]string, size)
	for i := range size {
		raft[i] = FreeAddr()
		peers = append(peers, fmt.Sprintf("node-%d=%s", i+1, raft[i]))
	}
	for i := range size {
		management, admin := FreeAddr(), FreeAddr()
		n := &Node{ID: fmt.Sprintf("node-%d", i+1), dir: c.dir, DataDir: filepath.Join(c.dir, fmt.Sprintf("node-%d", i+1)), admin: "http://" + admin}
		n.args = append([]string{"controlplane", "--node-id", n.ID, "--data-dir", n.DataDir,
			"--management-addr", management, "--admin-addr", admin,
			"--raft-addr", raft[i], "--peers", strings.Join(peers, ","),
			"--cluster-secret-file", secretFile, "--admin-token-file", tokenFile}, flags(i)...)
		n.URL = "http://" + management
		if err := n.Restart(); err != nil {
			c.Kill()
			return err
		}
		c.Nodes = append(c.Nodes, n)
	}
	for _, n := range c.Nodes {
		if err := n.AwaitHealthy(ctx); err != nil {
			c.Kill()
			return err
		}
		var err error
		if n.Management, err = NewManagement(n.URL, tokenFile); err != nil {
			c.Kill()
			return err
		}
	}
	return nil
}

// AddWorker starts a worker with the token that the first node has written, and does not wait for it. Flags go before ours.
func (c *Cluster) AddWorker(flags ...string) (*Worker, error) {
	gateway, admin := FreeAddr(), FreeAddr()
	name := fmt.Sprintf("worker-%d", len(c.Workers)+1)
	w := &Worker{Gateway: "http://" + gateway, Admin: "http://" + admin, name: name, dir: c.dir}
	args := []string{"worker", "--node-id", name, "--gateway-addr", gateway, "--admin-addr", admin,
		"--data-dir", filepath.Join(c.dir, name), "--worker-token-file", filepath.Join(c.Nodes[0].DataDir, "worker-token")}
	if len(c.NATS) > 0 {
		args = append(args, "--nats-url", "tls://"+strings.Join(c.NATS, ",tls://"))
	}
	w.args = append(args, flags...)
	if err := w.Restart(); err != nil {
		return nil, err
	}
	c.Workers = append(c.Workers, w)
	return w, nil
}

// Leader asks the nodes who leads until one knows.
func (c *Cluster) Leader(ctx context.Context) (*Node, error) {
	ask := make([]Management, 0, len(c.Nodes))
	for _, n := range c.Nodes {
		ask = append(ask, n.Management)
	}
	id, err := stack.Leader(ctx, ask)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.Nodes, func(n *Node) bool { return n.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("%s leads, which is none of ours", id)
	}
	return c.Nodes[i], nil
}

// Kill ends every process of the cluster at once.
func (c *Cluster) Kill() {
	for _, w := range c.Workers {
		w.Kill()
	}
	for _, n := range c.Nodes {
		n.Kill()
	}
}

// Tails is the end of every process's log, for failure messages.
func (c *Cluster) Tails() string {
	var b strings.Builder
	for _, n := range c.Nodes {
		fmt.Fprintf(&b, "== %s\n%s\n", n.ID, n.Tail())
	}
	for _, w := range c.Workers {
		fmt.Fprintf(&b, "== %s\n%s\n", w.Name, w.Tail())
	}
	return b.String()
}
