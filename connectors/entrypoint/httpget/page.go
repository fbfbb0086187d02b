package httpget

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

const (
	// maxPage is when a page ends although its limit is not reached, in bytes: a page is held in memory as a whole. It is
	// ours; a page may exceed it by the message that reaches it.
	maxPage = 8 << 20
	// pollMessages bounds one Poll, since what is polled belongs to the page.
	pollMessages = 64
	// firstOnce is how many messages the first Poll of a page asks for under at-most-once: what is polled is saved as
	// delivered and must be in the page, and how large messages are is not known yet.
	firstOnce = 8
	// maxGaps bounds how many gaps one page tells; a page with more ends.
	maxGaps = 100
	// closeTimeout bounds the saving of what was delivered.
	closeTimeout = 5 * time.Second
)

// page is one answer being filled.
type page struct {
	format   format
	options  options
	json     bool // failures as JSON (spec 2.9)
	limit    int  // messages
	duration time.Duration
	cursor   string // where the client wants to go on
	once     bool   // at-most-once

	body     []byte
	items    int
	last     *message.Message // the last item
	full     bool
	partial  bool // the page ends before the end of what was polled, so last.ID is the cursor
	stopping bool
	tail     tail
}

// fill subscribes, takes what comes and ends the page. A failure before the first message is returned, a later one is
// part of the page.
func (p *page) fill(ctx context.Context, x *exchange.Exchange, b connectors.Backend) *message.Failure {
	p.once = x.QoS == qos.AtMostOnce
	waker := httpfront.NewWaker()
	o := connectors.SubscribeOptions{Cursor: p.cursor, Wake: waker.Wake, Limit: p.limit, Page: true}
	if p.duration > 0 {
		o.Deadline = time.Now().Add(p.duration)
	}
	sub, err := b.Subscribe(ctx, x, o)
	if err != nil {
		return httpfront.AsFailure(err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		sub.Close(closing)
	}()
	p.body = p.format.appendStart(p.body)
	if failure := p.take(ctx, sub, waker); failure != nil {
		if p.items == 0 && len(p.tail.gaps) == 0 {
			return failure
		}
		text, contentType := httpfront.AppendFailure(nil, failure, p.json)
		p.tail.err = httpfront.FailureMessage(failure, text, contentType)
		p.tail.err.ID = []byte(uuid.NewString())
	}
	if p.stopping {
		p.tail.err = &message.Message{ID: []byte(message.KeyGoAway), Content: []byte(message.StoppingText)}
	}
	if p.tail.cursor = sub.AppendCursor(nil); p.partial {
		p.tail.cursor = p.last.ID
	}
	p.body = p.format.appendEnd(p.body, &p.tail, p.options)
	if p.last != nil && x.QoS == qos.Auto {
		sub.DeliveredThrough(p.last) // at-least-once waits for the next request's cursor, at-most-once has it saved
	}
	return nil
}

// take adds messages until the page is full, its time is over, or the subscription or the API ends.
func (p *page) take(ctx context.Context, sub connectors.Subscription, waker httpfront.Waker) *message.Failure {
	var timer *time.Timer
	if p.duration > 0 {
		timer = time.NewTimer(p.duration)
		defer timer.Stop()
	}
	for p.items < p.limit && !p.full {
		msgs, err := sub.Poll(p.most())
		p.add(msgs)
		switch {
		case errors.Is(err, io.EOF) || p.stopping:
			return nil
		case err != nil:
			return httpfront.AsFailure(err)
		case len(msgs) > 0:
			if ctx.Err() != nil { // enough for this page; the next worker gives the rest
				p.stopping = true
				return nil
			}
			continue
		}
		switch waker.Wait(ctx, timer) {
		case httpfront.TimedOut:
			return nil
		case httpfront.Stopped:
			p.stopping = true
			return nil
		}
	}
	return nil
}

// most returns how many messages the next Poll may return. Under at-most-once it is as many as still fit, by the size of those
// before, so that a page need not break off what was polled.
func (p *page) most() int {
	most := min(pollMessages, p.limit-p.items)
	switch {
	case !p.once:
		return most
	case p.items == 0:
		return min(most, firstOnce)
	}
	size := len(p.body)/p.items + 1
	return min(most, max((maxPage-len(p.body))/size, 1))
}

// add appends what was polled. A page that is full ends at the next message that tells where it is.
func (p *page) add(msgs []message.Message) {
	for i := range msgs {
		m := &msgs[i]
		switch m.Kind {
		case message.Gap:
			p.tail.gaps = append(p.tail.gaps, gap{after: p.items, detail: m.Content})
			p.full = len(p.tail.gaps) >= maxGaps
		case message.GoAway:
			p.stopping = true
		case message.Data:
			p.body = p.format.appendItem(p.body, p.items, m, p.options)
			p.items++
			p.last = m
			if len(p.body) < maxPage {
				continue
			}
			p.full = true
			if m.ID != nil && i+1 < len(msgs) && !p.once {
				p.partial = true
				return
			}
		}
	}
}

func isRange(err error) bool { return errors.Is(err, strconv.ErrRange) }
