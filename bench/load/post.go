package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
)

// poster sends messages over so many connections and keeps account of every number.
type poster struct {
	job    Job
	client *fasthttp.HostClient
	next   atomic.Int64
	sent   atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[error]
	acked  Set
}

// post sends as fast as Clients connections go, each with its next message when it has the answer to the last, which tells
// the throughput; then, where there is a Rate, at that rate, which tells the latency. Then all that was answered 202 is
// looked for in the topic.
func post(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	uri := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(uri)
	if err := uri.Parse(nil, []byte(job.URL)); err != nil {
		return Outcome{}, err
	}
	p := &poster{job: job, client: &fasthttp.HostClient{Addr: string(uri.Host()), MaxConns: job.Clients, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		MaxIdemponentCallAttempts: 1, RetryIfErr: func(*fasthttp.Request, int, error) (bool, bool) { return false, false }}}
	defer p.client.CloseIdleConnections()
	log, err := stored(ctx, job)
	if err != nil {
		return Outcome{}, err
	}
	defer log.close()
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	p.closed(ctx, job.Warm)
	tell.Say(Measuring, "")
	before := p.acked.Len()
	took := p.measured(ctx)
	out := Outcome{Messages: p.acked.Len() - before, Seconds: took.Seconds()}
	tell.Say(Measured, "")
	if job.Rate > 0 {
		out.Latency = summary(p.open(ctx))
	}
	found, err := log.numbers(ctx, p.acked.Len())
	if err != nil {
		return out, err
	}
	out.Sent, out.Failed, out.Delivered = p.sent.Load(), p.failed.Load(), p.acked.Len()
	if found != nil {
		out.Delivered, out.Lost, out.Duplicated = found.size(), p.acked.Missing(found), found.Again()
	}
	if err := p.first.Load(); err != nil {
		out.FirstError = (*err).Error()
	}
	return out, ctx.Err()
}

// memory is where messages are looked for after they were taken.
type memory interface {
	// numbers returns those that are there; nil: nothing is kept. So many are expected.
	numbers(ctx context.Context, want int64) (*Set, error)
	close()
}

// stored opens what keeps a job's messages.
func stored(ctx context.Context, job Job) (memory, error) {
	switch {
	case job.Topic == "":
		return nothing{}, nil
	case job.MQTT:
		return listenMQTT(ctx, job, nil)
	}
	return openLog(ctx, job)
}

// nothing keeps no message.
type nothing struct{}

func (nothing) numbers(context.Context, int64) (*Set, error) { return nil, nil } //nolint:nilnil // as memory says
func (nothing) close()                                       {}

// closed has every connection send without pause for so long.
func (p *poster) closed(ctx context.Context, long time.Duration) time.Duration {
	start := time.Now()
	p.each(func(c *caller) {
		for time.Since(start) < long && ctx.Err() == nil {
			c.send(p.next.Add(1)-1, 0)
		}
	})
	return time.Since(start)
}

// measured is what the throughput is taken of: Total messages, or what For allows.
func (p *poster) measured(ctx context.Context) time.Duration {
	if p.job.Total == 0 {
		return p.closed(ctx, p.job.For)
	}
	start := time.Now()
	p.each(func(c *caller) {
		for n := p.next.Add(1) - 1; n < p.job.Total && ctx.Err() == nil; n = p.next.Add(1) - 1 {
			c.send(n, 0)
		}
	})
	return time.Since(start)
}

// open sends every message at its time, or as soon after as a connection is free, and takes its latency from that time.
func (p *poster) open(ctx context.Context) *hdrhistogram.Histogram {
	all := newHistogram()
	total := int64(p.job.Rate * p.job.For.Seconds())
	pace := pace{time.Now().Add(spin), p.job.Rate}
	var next atomic.Int64
	var mu sync.Mutex // guards all
	p.each(func(c *caller) {
		own := newHistogram()
		for i := next.Add(1) - 1; i < total && ctx.Err() == nil; i = next.Add(1) - 1 {
			at := pace.at(i)
			WaitUntil(at)
			if c.send(p.next.Add(1)-1, at.UnixNano()) {
				record(own, time.Since(at))
			}
		}
		mu.Lock()
		defer mu.Unlock()
		all.Merge(own)
	})
	return all
}

func (p *poster) each(run func(*caller)) {
	var wg sync.WaitGroup
	for range p.job.Clients {
		wg.Go(func() {
			c := newCaller(p)
			defer c.release()
			run(c)
		})
	}
	wg.Wait()
}

// caller is one connection's request and response, used again and again.
type caller struct {
	p    *poster
	req  *fasthttp.Request
	res  *fasthttp.Response
	body []byte
}

func newCaller(p *poster) *caller {
	c := &caller{p: p, req: fasthttp.AcquireRequest(), res: fasthttp.AcquireResponse(), body: p.job.body()}
	c.req.Header.SetMethod(fasthttp.MethodPost)
	c.req.SetRequestURI(p.job.URL)
	return c
}

func (c *caller) release() {
	fasthttp.ReleaseRequest(c.req)
	fasthttp.ReleaseResponse(c.res)
}

// send posts a message and tells whether it was taken.
func (c *caller) send(number, at int64) bool {
	Stamp(c.body, number, at)
	c.req.SetBodyRaw(c.body)
	c.p.sent.Add(1)
	err := c.p.client.Do(c.req, c.res)
	if err == nil && c.res.StatusCode() != http.StatusAccepted {
		err = fmt.Errorf("status %d: %.200s", c.res.StatusCode(), c.res.Body())
	}
	if err != nil {
		c.p.failed.Add(1)
		c.p.first.CompareAndSwap(nil, &err)
		return false
	}
	c.p.acked.Add(number)
	return true
}

// requests sends an empty POST to each of Paths in turn, over Clients connections, and takes nothing but the rate: the cost
// of finding the API is in it, and nothing of a broker's.
func requests(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	uri := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(uri)
	if err := uri.Parse(nil, []byte(fmt.Sprintf(job.URL, 0))); err != nil {
		return Outcome{}, err
	}
	urls := make([]string, job.Paths)
	for i := range urls {
		urls[i] = fmt.Sprintf(job.URL, i)
	}
	p := &poster{job: job, client: &fasthttp.HostClient{Addr: string(uri.Host()), MaxConns: job.Clients, ReadTimeout: time.Minute, WriteTimeout: time.Minute}}
	p.job.URL = urls[0]
	defer p.client.CloseIdleConnections()
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	run := func(long time.Duration) time.Duration {
		start := time.Now()
		p.each(func(c *caller) {
			for time.Since(start) < long && ctx.Err() == nil {
				n := p.next.Add(1) - 1
				c.req.SetRequestURI(urls[int(n)%len(urls)])
				c.send(n, 0)
			}
		})
		return time.Since(start)
	}
	run(job.Warm)
	tell.Say(Measuring, "")
	before := p.acked.Len()
	took := run(job.For)
	out := Outcome{Messages: p.acked.Len() - before, Seconds: took.Seconds(), Sent: p.sent.Load(), Delivered: p.acked.Len(), Failed: p.failed.Load()}
	tell.Say(Measured, "")
	if err := p.first.Load(); err != nil {
		out.FirstError = (*err).Error()
	}
	return out, ctx.Err()
}
