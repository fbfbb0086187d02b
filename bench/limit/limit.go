// Package limit is the plain limit of each scenario on this machine: the same work written as directly as the libraries
// allow, without a gateway around it. Every figure of Sluice is a ratio to one of these from the same run. The servers run
// in processes of their own, as the worker does.
package limit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/bench/load"
)

// Kinds of servers.
const (
	HTTP   = "serve-http"   // answers every POST 202 and does nothing else
	Glue   = "serve-glue"   // answers 202 after Kafka's acknowledgement
	Frames = "serve-frames" // writes prepared frames to every connection
)

// Is tells whether a job is one of this package.
func Is(do string) bool { return do == HTTP || do == Glue || do == Frames }

// Serve runs a server until ctx ends. It says that it is ready with its address.
func Serve(ctx context.Context, job load.Job, tell load.Tell) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	say := func() { tell.Say(load.Ready, ln.Addr().String()) }
	switch job.Do {
	case HTTP:
		say()
		return serve(ctx, ln, func(c *fasthttp.RequestCtx) { c.SetStatusCode(fasthttp.StatusAccepted) })
	case Glue:
		return glue(ctx, ln, job, say)
	case Frames:
		say()
		return frames(ctx, ln, job, tell)
	}
	return fmt.Errorf("job %q is unknown", job.Do)
}

// glue is fasthttp and franz-go glued by hand: no copy but the one that fasthttp asks for, waits from a pool.
func glue(ctx context.Context, ln net.Listener, job load.Job, ready func()) error {
	opts := []kgo.Opt{kgo.SeedBrokers(job.Brokers...), kgo.DefaultProduceTopic(job.Topic), kgo.ProducerLinger(job.Linger),
		kgo.ProducerBatchCompression(kgo.NoCompression())}
	if job.Single {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return err
	}
	type wait struct {
		record kgo.Record
		value  []byte
		done   chan error
	}
	waits := sync.Pool{New: func() any { return &wait{done: make(chan error, 1)} }}
	ready()
	return serve(ctx, ln, func(c *fasthttp.RequestCtx) {
		w := waits.Get().(*wait)
		w.value = append(w.value[:0], c.PostBody()...)
		w.record = kgo.Record{Value: w.value}
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

// perWrite is how many bytes of frames go into one write where more wait: what the worker's writers take too.
const perWrite = 64 << 10

// writers share the connections between them. Two were the fastest on two cores.
const writers = 2

// frames waits for Clients connections and for the word to go, then writes Total prepared frames to each: many per write,
// or, with a Rate, each at its time.
func frames(ctx context.Context, ln net.Listener, job load.Job, tell load.Tell) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	conns := make([]net.Conn, 0, job.Clients)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range job.Clients {
		c, err := accept(ln, job)
		if err != nil {
			return err
		}
		conns = append(conns, c)
	}
	if job.Live {
		select {
		case <-tell.Go:
		case <-ctx.Done():
			return nil
		}
	}
	start := time.Now()
	failed := make(chan error)
	n := min(writers, len(conns))
	for i := range n {
		go func() { failed <- newWriter(job).write(ctx, conns[i*len(conns)/n:(i+1)*len(conns)/n], start) }()
	}
	var all error
	for range n {
		all = errors.Join(all, <-failed)
	}
	if ctx.Err() == nil && all == nil {
		<-ctx.Done() // who reads decides when it has all
	}
	if ctx.Err() != nil {
		return nil
	}
	return all
}

// accept takes a connection and answers its request.
func accept(ln net.Listener, job load.Job) (net.Conn, error) {
	c, err := ln.Accept()
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) <= 2 {
			break
		}
	}
	answer := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	if job.Form == load.WebSocket {
		answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	}
	_, err = c.Write([]byte(answer))
	return c, err
}
