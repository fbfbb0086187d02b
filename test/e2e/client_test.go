//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// event is one server-sent event, parsed after the WHATWG rules.
type event struct {
	id, name, data string
	comments       []string
}

// stream is an open SSE stream.
type stream struct {
	body   io.ReadCloser
	reader *bufio.Reader
	lastID string
}

// openSSE connects and fails the test where the answer is not a stream.
func openSSE(ctx context.Context, t *testing.T, url string, header ...string) *stream {
	t.Helper()
	s, err := dialSSE(ctx, url, header...)
	if err != nil {
		t.Fatalf("open stream %s: %v", url, err)
	}
	t.Cleanup(func() { s.body.Close() })
	return s
}

func dialSSE(ctx context.Context, url string, header ...string) (*stream, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		res.Body.Close()
		return nil, fmt.Errorf("status %d: %s", res.StatusCode, body)
	}
	return &stream{body: res.Body, reader: bufio.NewReaderSize(res.Body, 256<<10)}, nil
}

// next returns the next event that has data or a name; retry-only events and heartbeats are passed over.
func (s *stream) next() (event, error) {
	var e event
	var data []string
	for {
		line, err := s.reader.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			if e.name == "" && data == nil {
				e = event{}
				continue
			}
			e.data = strings.Join(data, "\n")
			if e.id != "" {
				s.lastID = e.id
			}
			return e, nil
		}
		if strings.HasPrefix(line, ":") {
			e.comments = append(e.comments, line[1:])
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			data = append(data, value)
		}
	}
}

// nextMessage returns the next event named "message".
func (s *stream) nextMessage() (event, error) {
	for {
		e, err := s.next()
		if err != nil || e.name == "message" {
			return e, err
		}
	}
}

// post sends body and returns the status and the answer's text.
func post(ctx context.Context, url, body string, header ...string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(req)
}

// get fetches url and returns the status and the answer's text.
func get(ctx context.Context, url string, header ...string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(req)
}

func do(req *http.Request) (int, string, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	return res.StatusCode, string(body), err
}
