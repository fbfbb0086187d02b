package load

import (
	"context"
	"errors"
	"net"
	"net/url"
	"time"
)

// idle holds Clients connections until its input ends, and tells how many were still open when it was asked.
func idle(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	u, err := url.Parse(job.URL)
	if err != nil {
		return Outcome{}, err
	}
	s := &streams{job: job, host: u.Host, path: u.RequestURI(), shards: make([]shard, 1)}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return Outcome{}, err
	}
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	out := Outcome{Sent: int64(job.Clients)}
	for _, c := range s.conns {
		if c.alive() {
			out.Delivered++
		}
	}
	out.Lost = out.Sent - out.Delivered
	return out, nil
}

// alive reads what waits, heartbeats, and tells whether the connection is still open.
func (c *conn) alive() bool {
	p := make([]byte, 4<<10)
	for {
		_ = c.net.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := c.net.Read(p)
		var waited net.Error
		if errors.As(err, &waited) && waited.Timeout() {
			return true
		}
		if err != nil {
			return false
		}
	}
}
