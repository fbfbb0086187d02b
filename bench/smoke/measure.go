package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/bench/limit"
	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/process"
)

// Topics of the run; the drained one has six partitions, as the QoS grid has.
const (
	postTopic, glueTopic, plainTopic, drainTopic = "bench-post", "bench-glue", "bench-plain", "bench-drain"
	partitions                                   = 6
)

// Measure runs every scenario once and reports; progress goes to w.
func Measure(ctx context.Context, cfg Config, w io.Writer) (*Report, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(w, "starting Apache Kafka and sluice ...")
	kafka, err := brokers.NewKafka(ctx, dir, brokers.KafkaConfig{Throughput: true, HeapMB: 1024})
	if err != nil {
		return nil, err
	}
	defer kafka.Close()
	for _, topic := range []string{postTopic, glueTopic, plainTopic, drainTopic} {
		if err := kafka.CreateTopic(ctx, topic, partitions); err != nil {
			return nil, err
		}
	}
	dev, err := process.StartDev(ctx, dir, "--no-samples", "--kafka", kafka.Addr())
	if err != nil {
		return nil, err
	}
	defer process.CleanUp()
	defer dev.Kill()
	for _, definition := range []string{postAPI(postTopic), sseAPI(drainTopic)} {
		if _, err := dev.Deploy(ctx, []byte(definition)); err != nil {
			return nil, fmt.Errorf("deploy: %w\n%s", err, dev.Tail())
		}
	}
	m := measure{cfg: cfg, kafka: kafka, dev: dev, w: w, body: bytes.Repeat([]byte("x"), cfg.Size), dir: dir}
	return m.all(ctx)
}

type measure struct {
	cfg   Config
	kafka *brokers.Kafka
	dev   *process.Dev
	w     io.Writer
	body  []byte
	dir   string
}

func (m *measure) all(ctx context.Context) (*Report, error) {
	report := &Report{Config: m.cfg, Machine: thisMachine(), At: time.Now().UTC()}
	steps := []struct {
		name string
		run  func(context.Context, *Report) error
	}{
		{"POST: fasthttp answering 202 with no broker", m.plainHTTP},
		{"POST: franz-go producing alone", m.plainProduce},
		{"POST: fasthttp + franz-go glued by hand", m.glued},
		{"POST -> Kafka through sluice", m.post},
		{"SSE: filling the backlog, franz-go consuming alone", m.plainConsume},
		{"Kafka -> SSE through sluice", m.drain},
	}
	for i, s := range steps {
		fmt.Fprintf(m.w, "[%d/%d] %s\n", i+1, len(steps), s.name)
		if err := s.run(ctx, report); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return report, nil
}

// child serves a plain limit in a process of its own and returns its URL.
func (m *measure) child(ctx context.Context, what string) (url string, pid int, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", 0, nil, err
	}
	addr := process.FreeAddr()
	cmd := exec.Command(self, "-serve", what, "-listen", addr)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is bound to this thread; it lives as long as the process
	if err := cmd.Start(); err != nil {
		return "", 0, nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	url = "http://" + addr + "/"
	for ctx.Err() == nil {
		probe, cancel := context.WithTimeout(ctx, 10*time.Second)
		r := load.Post(probe, url, m.body, 1, 1, 202)
		cancel()
		if r.OK == 1 {
			return url, cmd.Process.Pid, stop, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", 0, nil, ctx.Err()
}

// rate warms url up, then measures it, with the CPU that process pid used per request.
func (m *measure) rate(ctx context.Context, url string, pid int) (Figure, load.Result, error) {
	warm, cancel := context.WithTimeout(ctx, m.cfg.Duration/5)
	load.Post(warm, url, m.body, m.cfg.Clients, 0, 202)
	cancel()
	before := cpuOf(pid)
	timed, cancel := context.WithTimeout(ctx, m.cfg.Duration)
	defer cancel()
	r := load.Post(timed, url, m.body, m.cfg.Clients, 0, 202)
	if r.FirstErr != nil || r.OK != r.Sent {
		return Figure{}, r, fmt.Errorf("%d of %d requests answered 202, first error: %w", r.OK, r.Sent, r.FirstErr)
	}
	f := Figure{PerSecond: r.Rate(), P50Micros: r.Latency.ValueAtQuantile(50), P99Micros: r.Latency.ValueAtQuantile(99)}
	f.CPUMicros = float64((cpuOf(pid) - before).Microseconds()) / float64(r.OK)
	return f, r, nil
}

func (m *measure) plainHTTP(ctx context.Context, report *Report) (err error) {
	url, pid, stop, err := m.child(ctx, "http")
	if err != nil {
		return err
	}
	defer stop()
	report.PostPlainHTTP, _, err = m.rate(ctx, url, pid)
	return err
}

func (m *measure) glued(ctx context.Context, report *Report) error {
	url, pid, stop, err := m.child(ctx, "glue:"+m.kafka.Addr()+":"+glueTopic)
	if err != nil {
		return err
	}
	defer stop()
	report.PostGlued, _, err = m.rate(ctx, url, pid)
	return err
}

func (m *measure) plainProduce(ctx context.Context, report *Report) (err error) {
	timed, cancel := context.WithTimeout(ctx, m.cfg.Duration)
	defer cancel()
	report.ProduceAlone.PerSecond, err = limit.Produce(timed, []string{m.kafka.Addr()}, plainTopic, m.body, m.cfg.Clients)
	return err
}

// stored is how many records the POST topic holds.
func (m *measure) stored(ctx context.Context) (int64, error) {
	ends, err := m.kafka.EndOffsets(ctx, postTopic)
	var sum int64
	for _, end := range ends {
		sum += end
	}
	return sum, err
}

// post measures sluice and then counts the topic: every 202 must be there.
func (m *measure) post(ctx context.Context, report *Report) error {
	before, err := m.stored(ctx)
	if err != nil {
		return err
	}
	f, r, err := m.rate(ctx, m.dev.Gateway+"/bench/post", m.dev.PID())
	if err != nil {
		return err
	}
	after, err := m.stored(ctx)
	if err != nil {
		return err
	}
	if stored := after - before; stored < r.OK {
		return fmt.Errorf("%d POSTs answered 202, only %d records stored", r.OK, stored)
	}
	report.Post = f
	return nil
}

func (m *measure) plainConsume(ctx context.Context, report *Report) (err error) {
	addr := []string{m.kafka.Addr()}
	if err := limit.Fill(ctx, addr, drainTopic, m.body, m.cfg.Messages); err != nil {
		return err
	}
	report.ConsumeAlone.PerSecond, err = limit.Consume(ctx, addr, drainTopic, m.cfg.Messages)
	return err
}

func (m *measure) drain(ctx context.Context, report *Report) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	before := cpuOf(m.dev.PID())
	r, err := load.SSE(ctx, m.dev.Gateway+"/bench/sse?from=earliest", int64(m.cfg.Messages))
	if err != nil {
		return err
	}
	report.Drain = Figure{PerSecond: r.Rate(), CPUMicros: float64((cpuOf(m.dev.PID()) - before).Microseconds()) / float64(r.OK)}
	return nil
}
