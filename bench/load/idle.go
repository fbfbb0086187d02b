package load

import (
	"context"
	"net/url"
)

// idle holds Clients connections until it may end, and tells how many were still open then. It reads them all the time, since
// who answers no ping is taken for gone.
func idle(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	u, err := url.Parse(job.URL)
	if err != nil {
		return Outcome{}, err
	}
	s := &streams{job: job, host: u.Host, path: u.RequestURI(), shards: make([]shard, 1)}
	defer s.watching.Wait()
	defer s.close()
	s.opened = s.watch
	if err := s.open(ctx); err != nil {
		return Outcome{}, err
	}
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	out := Outcome{Sent: int64(job.Clients), Lost: s.gone.Load()}
	out.Delivered = out.Sent - out.Lost
	return out, nil
}

// watch reads a connection until it ends.
func (s *streams) watch(c *conn) {
	s.watching.Go(func() {
		for !c.ended && c.some() == nil {
		}
		s.gone.Add(1)
	})
}
