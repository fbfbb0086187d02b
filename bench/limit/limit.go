// Package limit is the plain limit of each scenario on this machine: the same work written as directly as the libraries
// allow. Every figure of Sluice is a ratio to one of these from the same run.
package limit

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp"
)

// Serve answers every POST on ln with 202 and does nothing else, until ctx ends.
func Serve(ctx context.Context, ln net.Listener) error {
	return serve(ctx, ln, func(c *fasthttp.RequestCtx) { c.SetStatusCode(fasthttp.StatusAccepted) })
}

// ServeGlued answers every POST on ln with 202 after Kafka has acknowledged its body: fasthttp and franz-go glued by
// hand, until ctx ends.
func ServeGlued(ctx context.Context, ln net.Listener, brokers []string, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	type wait struct {
		record kgo.Record
		done   chan error
	}
	waits := sync.Pool{New: func() any { return &wait{done: make(chan error, 1)} }}
	return serve(ctx, ln, func(c *fasthttp.RequestCtx) {
		w := waits.Get().(*wait)
		w.record = kgo.Record{Value: append([]byte(nil), c.PostBody()...)}
		client.Produce(ctx, &w.record, func(_ *kgo.Record, err error) { w.done <- err })
		status := fasthttp.StatusAccepted
		if err := <-w.done; err != nil {
			status = fasthttp.StatusServiceUnavailable
		}
		waits.Put(w)
		c.SetStatusCode(status)
	})
}

func serve(ctx context.Context, ln net.Listener, handler fasthttp.RequestHandler) error {
	server := &fasthttp.Server{Handler: handler, NoDefaultServerHeader: true}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		_ = server.Shutdown()
		return <-ended
	}
}

// Produce has callers goroutines produce body to topic, each waiting for its acknowledgement, until ctx ends, and
// returns acknowledged records per second.
func Produce(ctx context.Context, brokers []string, topic string, body []byte, callers int) (float64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var acked atomic.Int64
	var failed atomic.Pointer[error]
	start := time.Now()
	var wg sync.WaitGroup
	for range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ctx.Err() == nil {
				if err := client.ProduceSync(context.WithoutCancel(ctx), &kgo.Record{Value: body}).FirstErr(); err != nil {
					failed.Store(&err)
					return
				}
				acked.Add(1)
			}
		}()
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, fmt.Errorf("produce: %w", *err)
	}
	return float64(acked.Load()) / time.Since(start).Seconds(), nil
}

// Fill produces n records with body to topic as fast as it goes, spread over its partitions.
func Fill(ctx context.Context, brokers []string, topic string, body []byte, n int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	for range n {
		client.Produce(ctx, &kgo.Record{Value: body}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("fill: %w", *err)
	}
	return nil
}

// Consume reads n records of topic from its start and returns records per second from the first to the last.
func Consume(ctx context.Context, brokers []string, topic string, n int) (float64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	got := 0
	var start time.Time
	for got < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, fmt.Errorf("consume: after %d of %d: %w", got, n, err)
		}
		if got == 0 {
			start = time.Now()
		}
		got += fetches.NumRecords()
	}
	return float64(got) / time.Since(start).Seconds(), nil
}
