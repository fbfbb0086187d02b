package load

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// receive is the receiver of webhooks: it answers every POST 202 and counts, until Total messages came or nothing comes any
// more.
func receive(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	ln, err := net.Listen("tcp", job.Listen)
	if err != nil {
		return Outcome{}, err
	}
	var set Set
	var count, first, last atomic.Int64
	all := make(chan struct{}, 1)
	server := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(c *fasthttp.RequestCtx) {
		c.SetStatusCode(fasthttp.StatusAccepted)
		now := time.Now().UnixNano()
		if first.Load() == 0 {
			first.CompareAndSwap(0, now)
		}
		last.Store(now)
		have := count.Add(1)
		if !job.Same {
			if n, _, ok := ReadStamp(c.PostBody()); ok && n < maxNumber {
				set.Add(n)
			}
			have = set.size()
		}
		if have == job.Total {
			select {
			case all <- struct{}{}:
			default:
			}
		}
	}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer func() { _ = ln.Close(); <-served }() // connections end with the process
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	tell.Say(Measuring, "")
	last.CompareAndSwap(0, time.Now().UnixNano())
	tick := time.NewTicker(job.glance())
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-all:
			waiting = false
		case <-tick.C:
			waiting = time.Since(time.Unix(0, last.Load())) < job.patience(first.Load() > 0)
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
	}
	tell.Say(Measured, "")
	out := Outcome{Sent: job.Total, Delivered: min(count.Load(), job.Total), Seconds: time.Duration(last.Load() - first.Load()).Seconds()}
	if !job.Same {
		set.mu.Lock()
		out.Delivered, out.Duplicated = set.one, set.again
		set.mu.Unlock()
	}
	out.Messages = out.Delivered
	if !job.Lossy {
		out.Lost = max(job.Total-out.Delivered, 0)
	}
	return out, nil
}
