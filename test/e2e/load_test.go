//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp"
)

// postMany posts body to target so often, from so many connections, and returns how often the answer was as wanted, and
// the first other one.
func postMany(target string, body []byte, clients int, posts int64, want int) (ok int64, first error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, err
	}
	client := &fasthttp.HostClient{Addr: u.Host, MaxConns: clients, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	defer client.CloseIdleConnections()
	var left, good atomic.Int64
	var wrong atomic.Pointer[error]
	left.Store(posts)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(resp)
			req.Header.SetMethod(fasthttp.MethodPost)
			req.SetRequestURI(target)
			req.SetBodyRaw(body)
			for left.Add(-1) >= 0 {
				err := client.Do(req, resp)
				if err == nil && resp.StatusCode() != want {
					err = fmt.Errorf("%d %s", resp.StatusCode(), resp.Body())
				}
				if err != nil {
					wrong.CompareAndSwap(nil, &err)
					return
				}
				good.Add(1)
			}
		})
	}
	all.Wait()
	if err := wrong.Load(); err != nil {
		first = *err
	}
	return good.Load(), first
}

// fill writes n records with the same value to a topic, as fast as the broker takes them.
func fill(ctx context.Context, brokers, topic string, value []byte, n int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	for range n {
		client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
