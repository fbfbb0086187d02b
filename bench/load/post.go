// Package load drives entrypoints: it sends and counts, and reports what came of every request. Closed loop: each of n
// clients sends its next request when it has the answer to the last, so the rates are throughput, not latency under a
// given rate.
package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
)

// Result is what one run sent and got.
type Result struct {
	Sent     int64 // requests answered at all
	OK       int64 // answered with the wanted status
	Elapsed  time.Duration
	Latency  *hdrhistogram.Histogram // of the OK ones, in microseconds
	FirstErr error
}

// Rate is the wanted answers per second.
func (r Result) Rate() float64 { return float64(r.OK) / r.Elapsed.Seconds() }

// maxLatencyMicros bounds the histogram: a minute.
const maxLatencyMicros = 60_000_000

// Post sends body to url from clients connections until ctx ends or total requests are answered (0: no bound), and
// counts the answers with status want.
func Post(ctx context.Context, url string, body []byte, clients int, total int64, want int) Result {
	host := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(host)
	if err := host.Parse(nil, []byte(url)); err != nil {
		return Result{FirstErr: err}
	}
	client := &fasthttp.HostClient{Addr: string(host.Host()), MaxConns: clients, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	defer client.CloseIdleConnections()
	share := func(i int) int64 { // requests of client i; -1: no bound
		if total == 0 {
			return -1
		}
		n := total / int64(clients)
		if int64(i) < total%int64(clients) {
			n++
		}
		return n
	}
	results := make([]Result, clients)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			results[i] = postLoop(ctx, client, url, body, share(i), want)
		}()
	}
	wg.Wait()
	sum := Result{Elapsed: time.Since(start), Latency: hdrhistogram.New(1, maxLatencyMicros, 3)}
	for _, r := range results {
		sum.Sent += r.Sent
		sum.OK += r.OK
		sum.Latency.Merge(r.Latency)
		if sum.FirstErr == nil {
			sum.FirstErr = r.FirstErr
		}
	}
	return sum
}

func postLoop(ctx context.Context, client *fasthttp.HostClient, url string, body []byte, share int64, want int) Result {
	r := Result{Latency: hdrhistogram.New(1, maxLatencyMicros, 3)}
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(url)
	req.SetBodyRaw(body)
	for r.Sent != share && ctx.Err() == nil {
		at := time.Now()
		err := client.Do(req, res)
		if err != nil {
			r.FirstErr = err
			return r
		}
		r.Sent++
		if res.StatusCode() != want {
			if r.FirstErr == nil {
				r.FirstErr = fmt.Errorf("status %d: %.200s", res.StatusCode(), res.Body())
			}
			continue
		}
		r.OK++
		_ = r.Latency.RecordValue(min(time.Since(at).Microseconds(), maxLatencyMicros))
	}
	return r
}
