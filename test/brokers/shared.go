package brokers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// Main runs the tests of a package and then, in order, what ends that which they shared and checks what they left
// behind; an error there fails the package like a failed test. To be called from TestMain:
//
//	var kafka brokers.SharedKafka
//
//	func TestMain(m *testing.M) { brokers.Main(m, kafka.Close, leak.Check) }
func Main(m *testing.M, after ...func() error) {
	code := m.Run()
	for _, end := range after {
		if err := end(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// SharedKafka is one Kafka for all tests of a package, since a start costs seconds. It is started by the first test
// that asks for it. Tests keep apart by using topics and groups of their own, see Kafka.Topic.
type SharedKafka struct {
	Config KafkaConfig

	mu    sync.Mutex // guards the following
	kafka *Kafka
	dir   string
	err   error // of the first start, which is not tried twice
}

// Get returns the Kafka, serving. Where an earlier test left it dead it is started again.
func (s *SharedKafka) Get(t testing.TB) *Kafka {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kafka == nil && s.err == nil {
		s.err = s.start()
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	k := s.kafka
	if slices.ContainsFunc(k.nodes, func(n *KafkaNode) bool { return !n.Running() }) {
		if err := k.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(k.LogTail())
		}
	})
	return k
}

// start does not end with the test that happens to be first.
func (s *SharedKafka) start() error {
	dir, err := os.MkdirTemp("", "sluice-kafka-")
	if err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	s.dir = dir
	s.kafka, err = NewKafka(context.Background(), dir, s.Config)
	return err
}

// Close ends the Kafka, where one was started, and removes its data.
func (s *SharedKafka) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kafka != nil {
		s.kafka.Close()
		s.kafka, s.err = nil, errors.New("the shared kafka is closed")
	}
	if s.dir == "" {
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove kafka's data: %w", err)
	}
	return nil
}
