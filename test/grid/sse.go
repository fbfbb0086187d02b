package grid

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/qos"
)

// sseClient reads a stream of events after the rules of the WHATWG, and resumes with the last id as browsers do. Where the
// level counts, the usual client has an identifier and no last id, so that it resumes by what was saved for it; the
// anonymous one has it the other way round.
type sseClient struct{ named, resumes bool }

func newSSE(c Cell) subscriberDriver {
	anonymous := c.Client == Anonymous
	return sseClient{named: !anonymous, resumes: anonymous || !c.counted()}
}

// event is one event of a stream.
type event struct{ id, name, data string }

func (d sseClient) connect(ctx context.Context, url string, s *session) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if d.named {
		req.Header.Set(clientHeader, s.client)
	}
	if !d.resumes {
		s.resume = ""
	}
	if s.resume != "" {
		req.Header.Set("Last-Event-ID", s.resume)
	}
	web := s.web()
	defer web.CloseIdleConnections()
	res, err := web.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return refusal(res)
	}
	s.begin()
	lines := bufio.NewReaderSize(res.Body, 4<<10)
	leaving := false
	for {
		e, err := readEvent(lines)
		if leaving && err != nil {
			return errLeave
		}
		if err != nil {
			return err
		}
		switch e.name {
		case "message":
			err = s.got(ctx, e.data, e.id)
		case "gap":
			err = tellGap(s, e.data)
		case "error":
			err = fmt.Errorf("error event: %s", e.data)
		}
		if errors.Is(err, errLeave) && d.readsOn(s) {
			leaving, err = true, s.closeWrite()
		}
		if err != nil && !(leaving && errors.Is(err, errLeave)) {
			return err
		}
		if e.id != "" {
			s.resume = e.id
		}
	}
}

// readsOn: what this client's kernel has acknowledged counts as received, and it has no id to ask for it again, so that it
// says that it leaves, and reads what has come until then.
func (d sseClient) readsOn(s *session) bool {
	return !d.resumes && s.run.cell.level() == qos.AtLeastOnce
}

func tellGap(s *session, text string) error {
	var g gapDetail
	if err := json.Unmarshal([]byte(text), &g); err != nil {
		return fmt.Errorf("a gap that is no JSON: %w: %s", err, text)
	}
	s.gap(g.Reason, g.Partitions)
	return nil
}

// refusal is the answer of a server that does not accept a request.
func refusal(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 512))
	return fmt.Errorf("answered %s: %s", res.Status, text)
}

// readEvent returns the next event that has a name or data.
func readEvent(r *bufio.Reader) (event, error) {
	var e event
	var data []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return event{}, err
		}
		field, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "" && value == "" && line[0] != ':':
			if e.name != "" || data != nil {
				e.data = strings.Join(data, "\n")
				return e, nil
			}
			e = event{}
		case field == "id":
			e.id = value
		case field == "event":
			e.name = value
		case field == "data":
			data = append(data, value)
		}
	}
}
