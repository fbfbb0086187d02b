//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/process"
)

// TestCrowd_FiveThousandStreamsOfOneTopic opens 5,000 event streams on one topic and one worker: all of them get every
// message in order, the worker reads the topic once, and what a stream costs is bounded.
func TestCrowd_FiveThousandStreamsOfOneTopic(t *testing.T) {
	const clients, messages = 5000, 300
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	kafka := sharedKafka(t)
	dev := startDev(t, "--no-samples")
	topic := kafka.Topic(t, 3)
	deploy(t, dev, apiOf(t, t.Name(), "/crowd", kafka.Addr(), topic, entrypoint("sse", "AUTO", nil)))
	before := footprintOf(ctx, t, dev)

	addr := strings.TrimPrefix(dev.Gateway, "http://")
	conns := make([]*member, clients)
	slots := make(chan struct{}, 100)
	var all sync.WaitGroup
	for i := range conns {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			conns[i] = enrol(ctx, t, fmt.Sprintf("127.0.0.%d", 2+i%50), addr, "/crowd")
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	open := footprintOf(ctx, t, dev)
	produce(t, kafka, topic, messages)
	for _, c := range conns {
		all.Go(func() {
			if err := c.take(messages); err != nil {
				t.Errorf("stream: %v", err)
			}
		})
	}
	all.Wait()
	metrics := asked(ctx, t, dev, "/_node/metrics/prometheus")
	if n := sum(t, metrics, "sluice_kafka_readers"); n != 1 {
		t.Errorf("%v shared readers for one topic", n)
	}
	if n := sum(t, metrics, "sluice_kafka_subscribers"); n != clients {
		t.Errorf("%v subscribers, want %d", n, clients)
	}
	after := footprintOf(ctx, t, dev)
	each := (open.heap - before.heap) / clients
	t.Logf("%.0f bytes of heap per stream, %.1f MiB at first, %.1f MiB after %d deliveries; %v goroutines, %v before",
		each, before.heap/(1<<20), after.heap/(1<<20), clients*messages, after.goroutines, before.goroutines)
	if each > 16<<10 { // with what the Kafka side and the request's context cost
		t.Errorf("an idle stream holds %.0f bytes of heap", each)
	}
	if after.goroutines > before.goroutines+clients/10 { // the server keeps those that opened the streams for a while
		t.Errorf("%v goroutines for %d streams, %v before", after.goroutines, clients, before.goroutines)
	}
	for _, c := range conns {
		c.conn.Close()
	}
}

// sum adds up the series of a metric.
func sum(t *testing.T, metrics, name string) (total float64) {
	t.Helper()
	found := false
	for line := range strings.Lines(metrics) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if at := strings.LastIndexByte(line, '}'); at >= 0 {
			series, value = line[:at], strings.TrimSpace(line[at+1:])
		}
		if base, _, _ := strings.Cut(series, "{"); base != name {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		found = true
		total += v
	}
	if !found {
		t.Fatalf("there is no metric %s", name)
	}
	return total
}

// member is one of a crowd: a stream that is read with as little as possible.
type member struct {
	conn net.Conn
	r    *bufio.Reader
}

// enrol opens a stream from a local address and returns when its first event has come.
func enrol(ctx context.Context, t *testing.T, from, addr, path string) *member {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(5 * process.Within))
	m := &member{conn: conn, r: bufio.NewReaderSize(conn, 1<<10)}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", path)
	for err == nil {
		var line []byte
		if line, err = m.r.ReadSlice('\n'); bytes.HasPrefix(line, []byte("retry:")) {
			return m
		}
	}
	t.Error(err)
	return nil
}

// take reads n messages, each "<partition> <number in the partition>", and checks their order.
func (m *member) take(n int) error {
	next := map[string]int{}
	for got := 0; got < n; {
		line, err := m.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("after %d messages: %w", got, err)
		}
		value, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		partition, number, _ := strings.Cut(strings.TrimSpace(string(value)), " ")
		if number != fmt.Sprint(next[partition]) {
			return fmt.Errorf("partition %s: %q, want number %d", partition, number, next[partition])
		}
		next[partition]++
		got++
	}
	return nil
}
