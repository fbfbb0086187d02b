package rest

import (
	"net/url"
	"strconv"

	"github.com/sluice-gateway/sluice/proto/management"
)

// page is a page of a list, with its bounds in the list.
type page struct {
	management.Pagination
	from, to int
}

func paginate(total, number, size int) page {
	p := page{}
	p.Page, p.PerPage, p.TotalCount = max(number, 1), size, total
	p.PageCount = (total + size - 1) / size
	p.from = total
	if p.Page <= p.PageCount { // so that a huge number does not overflow
		p.from = (p.Page - 1) * size
	}
	p.to = min(p.from+size, total)
	p.PageItemsCount = p.to - p.from
	return p
}

// links lead from the request of this page to the others.
func (p page) links(uri string) management.Links {
	to := func(number int) string {
		u, err := url.Parse(uri)
		if err != nil || number < 1 || number > p.PageCount {
			return ""
		}
		q := u.Query()
		q.Set("page", strconv.Itoa(number))
		u.RawQuery = q.Encode()
		return u.String()
	}
	l := management.Links{Self: uri}
	if p.PageCount > 1 {
		l.First, l.Last, l.Previous, l.Next = to(1), to(p.PageCount), to(p.Page-1), to(p.Page+1)
	}
	return l
}
