package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"
)

// SSE reads events from a server-sent event stream until want events named "message" have come, and returns how many
// came and how long it took from the first to the last. It parses no more than it must, so that the reader is not what is
// measured.
func SSE(ctx context.Context, rawURL string, want int64) (Result, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Result{}, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		return Result{}, err
	}
	reader := bufio.NewReaderSize(conn, 256<<10)
	line, err := reader.ReadSlice('\n')
	if err != nil || !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		rest, _ := io.ReadAll(io.LimitReader(reader, 1<<10))
		return Result{}, fmt.Errorf("stream answered %q %q: %w", line, rest, err)
	}
	return countEvents(ctx, reader, want)
}

// countEvents counts the lines that start a message event. Chunk borders may fall anywhere but the sizes stand on lines
// of their own, so that they are never taken for one.
func countEvents(ctx context.Context, reader *bufio.Reader, want int64) (Result, error) {
	var r Result
	var start time.Time
	for r.OK < want {
		line, err := reader.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return r, fmt.Errorf("after %d of %d events: %w", r.OK, want, err)
		}
		if bytes.HasPrefix(line, []byte("event: message")) {
			if r.OK == 0 {
				start = time.Now()
			}
			r.OK++
		}
	}
	r.Sent, r.Elapsed = r.OK, time.Since(start)
	return r, nil
}
