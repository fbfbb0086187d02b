package grid

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/process"
)

// workers is how many serve: enough to resume on another one.
const workers = 2

// ringBytes is the workers' ring, in bytes: small, so that a slow client leaves it.
const ringBytes = 512 << 10

// World is the set-up of runs: one control plane, two workers, and the brokers that the cells need. Close ends all.
type World struct {
	dir       string
	cluster   *process.Cluster
	kafka     *brokers.Kafka
	mosquitto *brokers.Mosquitto
	brokers   map[string]broker
	topics    atomic.Int64
}

// NewWorld starts what the cells need, with its data in dir, which must be empty and is left behind.
func NewWorld(ctx context.Context, dir string, cells []Cell) (*World, error) {
	w := &World{dir: dir, brokers: map[string]broker{}}
	if err := w.start(ctx, cells); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *World) start(ctx context.Context, cells []Cell) error {
	if err := w.startBrokers(ctx, cells); err != nil {
		return err
	}
	for _, c := range cells {
		if w.brokers[c.Endpoint] == nil {
			w.brokers[c.Endpoint] = endpoints[c.Endpoint](w)
		}
	}
	var err error
	if w.cluster, err = process.StartCluster(ctx, w.dir, 1); err != nil {
		return err
	}
	for range workers {
		worker, err := w.cluster.AddWorker("--ring-bytes", fmt.Sprint(ringBytes), "--checkpoint-every", "1s",
			"--webhook-allow-cidr", "127.0.0.0/8")
		if err != nil {
			return err
		}
		if err := worker.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startBrokers starts those that the cells need.
func (w *World) startBrokers(ctx context.Context, cells []Cell) (err error) {
	needs := func(endpoint string) bool {
		return slices.ContainsFunc(cells, func(c Cell) bool { return strings.HasPrefix(c.Endpoint, endpoint) })
	}
	dir := func(name string) string { return filepath.Join(w.dir, name) }
	if needs("kafka") {
		if err := os.Mkdir(dir("kafka"), 0o755); err != nil {
			return fmt.Errorf("make kafka's directory: %w", err)
		}
		if w.kafka, err = brokers.NewKafka(ctx, dir("kafka"), brokers.KafkaConfig{}); err != nil {
			return err
		}
	}
	if needs("mqtt") {
		if err := os.Mkdir(dir("mosquitto"), 0o755); err != nil {
			return fmt.Errorf("make mosquitto's directory: %w", err)
		}
		if w.mosquitto, err = brokers.NewMosquitto(ctx, dir("mosquitto"), brokers.MosquittoConfig{Lines: brokers.ForLoad}); err != nil {
			return err
		}
	}
	return nil
}

// Close kills every process.
func (w *World) Close() {
	if w.cluster != nil {
		w.cluster.Kill()
	}
	if w.kafka != nil {
		w.kafka.Close()
	}
	if w.mosquitto != nil {
		w.mosquitto.Close()
	}
}

// Logs is the end of every process's log, for failure messages.
func (w *World) Logs() string {
	var b strings.Builder
	if w.cluster != nil {
		b.WriteString(w.cluster.Tails())
	}
	if w.kafka != nil {
		b.WriteString(w.kafka.LogTail())
	}
	if w.mosquitto != nil {
		b.WriteString(w.mosquitto.LogTail())
	}
	return b.String()
}

func (w *World) node() *process.Node { return w.cluster.Nodes[0] }

// deploy makes an API of one cell at path, served when it returns, and returns its id.
func (w *World) deploy(ctx context.Context, c Cell, path string, t topic) (string, error) {
	in := object{"type": c.Entrypoint, "qos": c.Level, "configuration": entrypoints[c.Entrypoint].config[c.Direction]}
	listener := object{"type": "HTTP", "paths": []object{{"path": path}}, "entrypoints": []object{in}}
	plan := object{"name": "open", "status": "PUBLISHED", "mode": "STANDARD", "security": object{"type": "KEY_LESS"}}
	if c.pushes() {
		listener = object{"type": "SUBSCRIPTION", "entrypoints": []object{in}}
		plan = object{"id": pushPlan(path), "name": "push", "status": "PUBLISHED", "mode": "PUSH", "validation": "AUTO"}
	}
	definition, err := json.Marshal(object{
		"name": strings.Trim(path, "/"), "apiVersion": "1", "definitionVersion": "V4", "type": "MESSAGE",
		"listeners": []object{listener}, "endpointGroups": []object{t.group()}, "plans": []object{plan},
	})
	if err != nil {
		return "", err
	}
	id, err := w.node().Deploy(ctx, definition)
	if err != nil {
		return "", fmt.Errorf("deploy %s: %w", c, err)
	}
	return id, nil
}
