package grid

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/qos"
)

// publisherDriver is a client program that publishes.
type publisherDriver interface {
	// publish sends what p gives until it is finished, and notes what it is told.
	publish(ctx context.Context, p *producer) error
}

// producer is one client of a publish run: one of several, each with keys of its own. One goroutine uses it.
type producer struct {
	run    *run
	number int
	client string
	tries  int // keys used up
	seq    int64
	left   int
	every  time.Duration // pace
	due    time.Time
}

// next returns the identity of the next message when it is due; false: there is none.
func (p *producer) next(ctx context.Context) (identity, bool) {
	if p.finished(ctx) {
		return identity{}, false
	}
	if wait := time.Until(p.due); wait > 0 {
		pause(ctx, wait)
	} else {
		p.due = time.Now() // what an outage kept back is not sent all at once
	}
	if ctx.Err() != nil {
		return identity{}, false
	}
	p.due = p.due.Add(p.every)
	p.left--
	p.seq++
	return identity{fmt.Sprintf("c%d.%d", p.number, p.tries), p.seq}, true
}

func (p *producer) finished(ctx context.Context) bool { return p.left <= 0 || ctx.Err() != nil }

// newKey goes on with another key: nobody knows what became of the last message, and it may still be stored, late. Under none
// that holds for all of them, so that a key stays with one worker.
func (p *producer) newKey() { p.tries, p.seq = p.tries+1, 0 }

// poster publishes with POST.
type poster struct{ web *http.Client }

func newPoster() publisherDriver {
	return &poster{&http.Client{Timeout: closeWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
}

func (d *poster) publish(ctx context.Context, p *producer) error {
	turn := p.number
	for n := 0; !p.finished(ctx); n++ {
		if every := p.run.leave / publishers; p.run.leave > 0 && n > 0 && n%max(every, 1) == 0 {
			turn++
			p.run.left.Add(1)
			if p.run.cell.level() == qos.None {
				p.newKey()
			}
		}
		m, ok := p.next(ctx)
		if !ok {
			break
		}
		p.run.record.produced(m)
		// A message that was begun is told the end of, also where the run is over: it takes as long as a client waits.
		status, text, err := d.post(context.WithoutCancel(ctx), p.run.url(turn), p.client, body(m, p.run.size))
		switch {
		case err == nil && status == http.StatusAccepted:
			p.run.record.isStored(m, "", 0)
			continue
		case err == nil && status == http.StatusServiceUnavailable:
			p.run.record.refused(m)
		case err == nil && status != http.StatusGatewayTimeout && status != http.StatusNotFound:
			return fmt.Errorf("POST was answered %d %s", status, text)
		case err == nil && status == http.StatusNotFound: // a worker that has just been started serves nothing yet
			p.run.record.refused(m)
		default: // also 504, and where nobody answered
			p.newKey()
		}
		p.run.note(fmt.Errorf("POST: %d %s %w", status, text, orNil(err)))
		turn++
		if p.run.cell.level() == qos.None {
			p.newKey()
		}
		pause(ctx, retryPause)
	}
	return nil
}

// errAnswered stands for an answer that is an error by its status.
type errAnswered struct{}

func (errAnswered) Error() string { return "(answered)" }

func orNil(err error) error {
	if err == nil {
		return errAnswered{}
	}
	return err
}

func (d *poster) post(ctx context.Context, url, client string, body []byte) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set(clientHeader, client)
	req.GetBody = nil // or net/http would send a message twice where a connection breaks
	res, err := d.web.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return res.StatusCode, string(text), err
}
