package grid

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/sluice-gateway/sluice/qos"
)

// pager follows the pages of http-get from cursor to cursor. Its first has none. A page counts as read when all of it is.
// Under at-most-once it gives no cursor, so that what was saved for its identifier alone says where it is.
type pager struct{}

func newPager(Cell) subscriberDriver { return pager{} }

// maxPageBytes bounds what is read of one page.
const maxPageBytes = 64 << 20

type page struct {
	Items []struct{ ID, Content string }
	Gaps  []struct {
		AfterItems int
		Detail     json.RawMessage
	}
	Pagination struct{ NextCursor string }
}

func (pager) connect(ctx context.Context, to string, s *session) error {
	s.unbroken = s.run.cell.level() != qos.AtMostOnce
	web := s.web()
	defer web.CloseIdleConnections()
	for {
		p, err := s.fetch(ctx, web, to)
		if err != nil {
			return err
		}
		gaps := p.Gaps
		for i, item := range p.Items {
			for ; len(gaps) > 0 && gaps[0].AfterItems <= i; gaps = gaps[1:] {
				if err := tellGap(s, string(gaps[0].Detail)); err != nil {
					return err
				}
			}
			if err := s.got(ctx, item.Content, item.ID); err != nil {
				return err
			}
		}
		for _, g := range gaps {
			if err := tellGap(s, string(g.Detail)); err != nil {
				return err
			}
		}
		if s.resume = p.Pagination.NextCursor; s.run.cell.level() == qos.AtMostOnce {
			s.resume = ""
		}
	}
}

// fetch gets one page.
func (s *session) fetch(ctx context.Context, web *http.Client, to string) (*page, error) {
	s.prove()
	if s.run.cell.level() == qos.AtMostOnce {
		s.resume = "" // it has read a page in part
	}
	if s.resume != "" {
		to += "?cursor=" + url.QueryEscape(s.resume)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set(clientHeader, s.client)
	res, err := web.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, refusal(res)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxPageBytes))
	if err != nil {
		return nil, err
	}
	p := &page{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("a page that is no JSON: %w", err)
	}
	s.begin()
	return p, nil
}
