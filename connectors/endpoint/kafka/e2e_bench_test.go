//go:build e2e

package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
)

var fast = brokers.SharedKafka{Config: brokers.KafkaConfig{Throughput: true}}

// callers runs n goroutines that share b.N calls.
func callers(b *testing.B, n int, call func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	begun := time.Now()
	for range n {
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				call(int(i))
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "msg/s")
}

// warm lets the broker's compiler see a produce path before it is measured.
func warm(b *testing.B, k *brokers.Kafka) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.DefaultProduceTopic(k.Topic(b, 6)), kgo.ProducerLinger(0))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	for range 20 {
		for range 1000 {
			cl.Produce(b.Context(), &kgo.Record{Value: make([]byte, 1024)}, nil)
		}
		if err := cl.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

type waitAck struct{ done chan error }

func (a *waitAck) Acked(m *message.Message, err error) { m.Release(); a.done <- err }

func BenchmarkReal_Publish(b *testing.B) {
	k := fast.Get(b)
	body := make([]byte, 1024)
	warm(b, k)
	for _, n := range []int{1, 64} {
		topic := k.Topic(b, 6)
		b.Run(fmt.Sprintf("endpoint/callers=%d", n), func(b *testing.B) {
			bed := realBed(b, k, topic, "", connectors.Limits{})
			defer bed.stop()
			acks := sync.Pool{New: func() any { return &waitAck{make(chan error, 1)} }}
			x := auto()
			b.ReportAllocs()
			callers(b, n, func(int) {
				a := acks.Get().(*waitAck)
				m := message.Get()
				m.SetContent(body)
				m.SetAck(a)
				bed.e.Publish(context.Background(), x, m)
				if err := <-a.done; err != nil {
					b.Error(err)
				}
				acks.Put(a)
			})
		})
		for _, g := range []struct {
			name string
			opts []kgo.Opt
		}{
			{"linger=0", []kgo.Opt{kgo.ProducerLinger(0)}},
			{"linger=0,inflight=1,noidem", []kgo.Opt{kgo.ProducerLinger(0), kgo.DisableIdempotentWrite()}},
		} {
			b.Run(fmt.Sprintf("plain,%s/callers=%d", g.name, n), func(b *testing.B) {
				cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(k.Addrs()...), kgo.DefaultProduceTopic(topic),
					kgo.ProducerBatchCompression(kgo.NoCompression())}, g.opts...)...)
				if err != nil {
					b.Fatal(err)
				}
				defer cl.Close()
				dones := sync.Pool{New: func() any { return make(chan error, 1) }}
				b.ReportAllocs()
				callers(b, n, func(int) {
					done := dones.Get().(chan error)
					cl.Produce(context.Background(), &kgo.Record{Value: body}, func(_ *kgo.Record, err error) { done <- err })
					if err := <-done; err != nil {
						b.Error(err)
					}
					dones.Put(done)
				})
			})
		}
	}
}

// BenchmarkReal_Drain reads a backlog through the endpoint and with franz-go alone; one operation is one message.
func BenchmarkReal_Drain(b *testing.B) {
	k := fast.Get(b)
	const total = 200_000
	topic := k.Topic(b, 6)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		b.Fatal(err)
	}
	for range total {
		cl.Produce(b.Context(), &kgo.Record{Value: make([]byte, 1024)}, nil)
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	cl.Close()
	plain := func(b *testing.B, opts ...kgo.Opt) {
		for b.Loop() {
			cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(k.Addrs()...), kgo.ConsumeTopics(topic))...)
			if err != nil {
				b.Fatal(err)
			}
			for n := 0; n < total; {
				n += cl.PollFetches(b.Context()).NumRecords()
			}
			cl.Close()
		}
		b.ReportMetric(float64(b.N)*total/b.Elapsed().Seconds(), "msg/s")
	}
	b.Run("pages of 500", func(b *testing.B) {
		bed := realBed(b, k, topic, "", connectors.Limits{})
		defer bed.stop()
		for b.Loop() {
			for at, n := "earliest", 0; n < total; {
				c := bed.mustOpen(auto(), connectors.SubscribeOptions{Page: true, Cursor: at, Limit: 500})
				for left := min(500, total-n); left > 0; {
					view, err := c.sub.Poll(left)
					if err != nil {
						b.Fatal(err)
					}
					n, left = n+len(view), left-len(view)
					if len(view) == 0 {
						<-c.wake
					}
				}
				at = string(c.sub.AppendCursor(nil))
				c.sub.Close(b.Context())
			}
		}
		b.ReportMetric(float64(b.N)*total/b.Elapsed().Seconds(), "msg/s")
		b.ReportMetric(float64(bed.e.stats.leased.Load())/float64(b.N), "clients/op")
	})
	b.Run("plain", func(b *testing.B) { plain(b) })
	b.Run("plain,2MiB", func(b *testing.B) { plain(b, kgo.FetchMaxBytes(2<<20)) })
	for _, cfg := range []string{"", `,"consumer":{"encodeMessageId":false}`} {
		b.Run("endpoint"+cfg, func(b *testing.B) {
			bed := realBed(b, k, topic, cfg, connectors.Limits{})
			defer bed.stop()
			for b.Loop() {
				c := bed.subscribe(auto(), "earliest")
				for n := 0; n < total; {
					view, err := c.sub.Poll(1000)
					if err != nil {
						b.Fatal(err)
					}
					if n += len(view); len(view) == 0 {
						<-c.wake
					}
				}
				c.sub.Close(b.Context())
			}
			b.ReportMetric(float64(b.N)*total/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
