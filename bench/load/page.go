package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// page reads pages, each behind the last, until Total messages came.
func page(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	client := &http.Client{Transport: &http.Transport{ReadBufferSize: readSize}}
	defer client.CloseIdleConnections()
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	tell.Say(Measuring, "")
	set, count, cursor := &Set{}, int64(0), "earliest"
	start, progress := time.Now(), time.Now()
	body := make([]byte, 0, 1<<20)
	for count < job.Total {
		address := job.URL
		if !job.Same {
			address += "?cursor=" + url.QueryEscape(cursor)
		}
		var err error
		if body, err = fetch(ctx, client, job, address, body[:0]); err != nil {
			return Outcome{}, fmt.Errorf("after %d of %d messages: %w", count, job.Total, err)
		}
		before := count
		count += contents(body, set)
		if count > before {
			progress = time.Now()
		} else if time.Since(progress) > job.patience(count > 0) {
			break
		}
		if next, ok := member(body, `"nextCursor":"`); ok {
			cursor = next
		}
	}
	// The last page of an endpoint that never ends may hold more than was asked for.
	out := Outcome{Messages: count, Seconds: progress.Sub(start).Seconds(), Sent: job.Total, Delivered: min(count, job.Total)}
	if !job.Same {
		out.Messages, out.Delivered, out.Duplicated = set.Len(), set.Len(), set.Again()
	}
	if !job.Lossy { // else what came between two pages is nobody's
		out.Lost = max(job.Total-out.Delivered, 0)
	}
	tell.Say(Measured, "")
	return out, nil
}

func fetch(ctx context.Context, client *http.Client, job Job, address string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if job.Client != "" {
		req.Header.Set("X-Gravitee-Client-Identifier", job.Client)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	buf := bytes.NewBuffer(body)
	if _, err := buf.ReadFrom(io.LimitReader(res.Body, 1<<30)); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d: %.300s", res.StatusCode, buf.Bytes())
	}
	return buf.Bytes(), nil
}

// contents takes the stamps of a page.
func contents(body []byte, set *Set) (n int64) {
	key := []byte(`"content":"`)
	for {
		i := bytes.Index(body, key)
		if i < 0 {
			return n
		}
		body = body[i+len(key):]
		n++
		if number, _, ok := ReadStamp(body); ok && number < maxNumber {
			set.add(number)
		}
	}
}

func member(body []byte, key string) (string, bool) {
	i := bytes.LastIndex(body, []byte(key))
	if i < 0 {
		return "", false
	}
	value, _, ok := bytes.Cut(body[i+len(key):], []byte(`"`))
	return string(value), ok
}
