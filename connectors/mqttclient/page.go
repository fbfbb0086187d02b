package mqttclient

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// A page is one request's look at a client's session (http-get, auto). MQTT has no positions, and what is acknowledged is gone,
// so a page that its client never got must not be acknowledged. Its cursor names it: how many messages of QoS 1 and 2 it has,
// and a sum of their packet identifiers, topics and payloads. A request that gives a cursor says that it knows them: its page is
// not acknowledged when it is made, but when the next request gives the page's own cursor. Whichever worker that reaches gets
// from the broker what is not acknowledged, from the first, under the same identifiers (MQTT 4.4 and 4.6), and acknowledges the
// page where the first messages are the page. Where they are not, they are given out, again or for the first time. So workers
// need not know of each other, and nothing is acknowledged that the client did not say it has. One exception: a broker that uses
// identifiers again at once, and sends messages that are the same in all respects as those of the page before, would have a
// request that is sent again for want of an answer take the new ones for the old.
//
// A request without a cursor is of a client that may never give one: its page counts as delivered once it is made.

// leastWindow is how many messages a broker sends ahead of acknowledgements at least, as far as we know of any (HiveMQ: 10,
// Mosquitto: 20 for MQTT 3.1.1). A page with as many ends where the broker has no more for now, since it may be waiting for us.
const leastWindow = 10

// mostProved bounds what is read of the session to compare it with a cursor, in bytes: more than a page of http-get may have.
const mostProved = 16 << 20

// page is what a member that is a page knows besides. session.mu guards it.
type page struct {
	link    int        // of the session, when the page began
	holds   bool       // acknowledged when the next request proves it
	given   string     // the cursor of the request
	proof   pageCursor // what it proves; n 0: nothing is left to prove
	summed  sum        // of aside, while there is something to prove
	aside   []message.Message
	handed  sum
	told    int    // handed.n when the cursor was asked for; -1: it was not
	asked   bool   // the broker is asked whether there is more
	quiet   bool   // it was asked, and nothing came since the last Poll
	release func() // gives the turn back

	lent  int // bytes that were taken from the session
	lentN int // and messages
}

// pageCursor names the messages of a page.
type pageCursor struct {
	n    int
	hash [sumBytes]byte
}

const (
	pagePrefix = "page."
	sumBytes   = 12
)

// append writes "page.0", or "page.N.SUM".
func (c pageCursor) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, pagePrefix...), int64(c.n), 10)
	if c.n == 0 {
		return dst
	}
	return base64.RawURLEncoding.AppendEncode(append(dst, '.'), c.hash[:])
}

// parsePage reads a cursor of a page.
func parsePage(text string) (c pageCursor, ok bool) {
	rest, ok := strings.CutPrefix(text, pagePrefix)
	if !ok {
		return c, false
	}
	number, code, coded := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(number, 10, 16) // there are no more packet identifiers
	if err != nil || coded != (n > 0) {
		return c, false
	}
	if c.n = int(n); n == 0 {
		return c, true
	}
	if base64.RawURLEncoding.DecodedLen(len(code)) != sumBytes || strings.ContainsAny(code, "\r\n") { // the decoder skips those
		return c, false
	}
	got, err := base64.RawURLEncoding.DecodeString(code)
	return pageCursor{c.n, [sumBytes]byte(append(got, make([]byte, sumBytes-len(got))...))}, err == nil
}

// sum is over messages that the broker awaits an answer to.
type sum struct {
	n    int
	hash hash.Hash
}

func (s *sum) add(id uint16, m *message.Message) {
	if s.hash == nil {
		s.hash = sha256.New()
	}
	var head [10]byte
	binary.BigEndian.PutUint16(head[:], id)
	binary.BigEndian.PutUint32(head[2:], uint32(len(m.Topic)))
	binary.BigEndian.PutUint32(head[6:], uint32(len(m.Content)))
	s.hash.Write(head[:])
	io.WriteString(s.hash, m.Topic)
	s.hash.Write(m.Content)
	s.n++
}

func (s *sum) cursor() pageCursor {
	c := pageCursor{n: s.n}
	if s.n > 0 {
		var all [sha256.Size]byte
		copy(c.hash[:], s.hash.Sum(all[:0]))
	}
	return c
}

// isPage tells whether a subscriber is a page of a session.
func isPage(x *exchange.Exchange, o *connectors.SubscribeOptions) bool {
	return o.Page && x.QoS == qos.Auto && x.ClientSupplied
}

// newPage makes a page of what filterOf has let pass.
func newPage(given string) *page {
	proof, _ := parsePage(given) // latest proves nothing
	return &page{given: given, holds: given != "", proof: proof, told: -1}
}

// poll returns what the page holds next. io.EOF: it ends here, since the connection that brought it is no more, or the broker may
// be waiting for acknowledgements. The caller holds session.mu.
func (p *page) poll(m *member, most int) ([]message.Message, error) {
	s := m.s
	if p.link != s.links {
		return nil, io.EOF
	}
	if p.proof.n > 0 && !p.prove(m) {
		return nil, nil
	}
	view := p.aside[:min(most, len(p.aside))]
	if p.aside = p.aside[len(view):]; len(view) == 0 {
		view = p.take(s, most)
	}
	if len(view) == 0 {
		if p.quiet && p.handed.n >= leastWindow {
			return nil, io.EOF
		}
		p.await(m, p.handed.n >= leastWindow)
		return nil, nil
	}
	for i := range view {
		if sl := s.win.at(view[i].Offset); sl != nil && sl.qos > 0 {
			p.handed.add(sl.id, &view[i])
		}
	}
	m.hand(view)
	return view[:len(view):len(view)], nil
}

// take takes messages from the session. They are the page's own, which its entrypoint bounds, and not counted as what the session
// holds: else a page could never be larger than that.
func (p *page) take(s *session, most int) []message.Message {
	if !s.linked { // it comes again (session.forsake)
		return nil
	}
	view := s.ready.take(most)
	for i := range view {
		p.quiet = false
		if sl := s.win.at(view[i].Offset); sl != nil {
			p.lend(s, 1, sl.size)
		}
	}
	if len(view) > 0 {
		s.roomy()
	}
	return view
}

func (p *page) lend(s *session, n, bytes int) {
	p.lentN, p.lent = p.lentN+n, p.lent+bytes
	s.lentN, s.lent = s.lentN+n, s.lent+bytes
}

// await has the page woken by what comes, and by the broker's answer that nothing does, where that matters.
func (p *page) await(m *member, matters bool) {
	s := m.s
	s.waiting[m] = struct{}{}
	if matters && !p.asked && !p.quiet {
		p.asked = true
		s.asking = append(s.asking, m)
		s.poke()
	}
}

// answered: the broker has nothing more, but for what is in ready.
func (p *page) answered(m *member) {
	p.asked, p.quiet = false, m.s.ready.n == 0
	if _, waits := m.s.waiting[m]; waits {
		delete(m.s.waiting, m)
		m.wake()
	}
}

// prove compares what comes first with the cursor. false: it is not decided yet.
func (p *page) prove(m *member) (decided bool) {
	s := m.s
	for p.summed.n < p.proof.n && p.lent < mostProved {
		view := p.take(s, p.proof.n-p.summed.n)
		if len(view) == 0 {
			if !p.quiet {
				p.await(m, true)
				return false
			}
			break
		}
		p.aside = append(p.aside, view...)
		for i := range view {
			if sl := s.win.at(view[i].Offset); sl != nil && sl.qos > 0 {
				p.summed.add(sl.id, &view[i])
			}
		}
	}
	if mine := p.summed.cursor(); mine.n == p.proof.n && bytes.Equal(mine.hash[:], p.proof.hash[:]) {
		p.acknowledge(s)
	}
	p.proof = pageCursor{}
	return true
}

// acknowledge answers the broker: the client has what lies aside, but for QoS 0, which no cursor names.
func (p *page) acknowledge(s *session) {
	rest := p.aside[:0]
	for i := range p.aside {
		sl := s.win.at(p.aside[i].Offset)
		if sl == nil || sl.qos == 0 {
			rest = append(rest, p.aside[i])
			continue
		}
		p.lend(s, -1, -sl.size)
		s.ack(p.aside[i].Offset)
	}
	clear(p.aside[len(rest):])
	p.aside = rest
	s.proved()
}

// appendCursor appends what the next request proves receipt by.
func (p *page) appendCursor(dst []byte) []byte {
	p.told = p.handed.n
	switch {
	case p.proof.n > 0:
		return append(dst, p.given...) // as undecided as it came
	case !p.holds:
		return pageCursor{}.append(dst)
	}
	return p.handed.cursor().append(dst)
}

// delivered acknowledges the first n messages that were handed out, unless the client was told the cursor that does it. The caller
// holds session.mu.
func (p *page) delivered(m *member, n int) {
	held := p.holds && p.told == p.handed.n
	for i := range n {
		one := &m.taken.items[m.taken.head+i]
		if sl := m.s.win.at(one.Offset); sl != nil && (sl.qos == 0 || !held) {
			m.s.ack(one.Offset)
		}
	}
	m.s.proved()
}

// end appends to back what lies aside and is not the client's.
func (p *page) end(s *session, back []message.Message) []message.Message {
	p.lend(s, -p.lentN, -p.lent)
	for i := range p.aside {
		if sl := s.win.at(p.aside[i].Offset); sl != nil && !sl.acked {
			back = append(back, p.aside[i])
		}
	}
	p.aside = nil
	return back
}
