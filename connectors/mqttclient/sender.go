package mqttclient

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/sluice-gateway/sluice/connectors/supervise"
)

const (
	// writeBytes is from where a write takes no more packets.
	writeBytes = 64 << 10
	// maxFlight bounds the messages on the connection whatever the broker would take.
	maxFlight = 4096
	// maxSends is how often a message is sent over connections that break before it is given up: it may be what breaks them.
	maxSends = 3
	// steady is how long a connection must last for the next one to be made at once.
	steady = time.Second
)

// run connects while there is something to send, and sends, until ctx ends.
func (p *publisher) run(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { p.reap(ctx) })
	fails := 0
	for p.await(ctx) {
		begun := time.Now()
		l, err := p.e.dial(ctx, fresh())
		if err == nil {
			p.e.stats.connects.Add(1)
			err = p.serve(ctx, l)
		}
		p.broken(err)
		if fails++; l != nil && time.Since(begun) > steady {
			fails = 0
			continue
		}
		_ = pause(ctx, backoff(fails)) // await notices the end
	}
	p.failAll(supervise.ErrEnded)
}

// await waits until there is something to send; false: ctx has ended.
func (p *publisher) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		p.mu.Lock()
		waiting := !p.queue.empty()
		p.mu.Unlock()
		if waiting {
			return true
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
		}
	}
	return false
}

// serve sends over l until it breaks or ctx ends.
func (p *publisher) serve(ctx context.Context, l *link) error {
	defer l.close()
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p.mu.Lock()
	p.link = l
	p.mu.Unlock()
	parts.Go(func() { l.ping(ctx) })
	parts.Go(func() { stop(p.readAcks(l)) })
	var buf []byte
	var marks []mark
	var out []outcome
	for ctx.Err() == nil {
		buf, marks, out = p.take(l, buf[:0], marks[:0], out[:0])
		p.tell(out)
		if len(marks) == 0 {
			select {
			case <-p.wake:
			case <-ctx.Done():
			}
			continue
		}
		n, err := l.write(buf)
		out = p.wrote(marks, n, out[:0])
		p.tell(out)
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return context.Cause(ctx)
}

// mark remembers a message that is being written.
type mark struct {
	n      *pending
	gen    uint
	before bool // written over an earlier connection
	end    int  // of its packet, in the bytes written
}

// take moves what may be sent now onto the connection and returns its bytes.
func (p *publisher) take(l *link, buf []byte, marks []mark, out []outcome) ([]byte, []mark, []outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := p.queue.head; n != nil && len(buf) < writeBytes; n = p.queue.head {
		if err := l.refuses(n); err != nil {
			out = p.end(n, err, out)
			continue
		}
		if n.qos > 0 && len(p.slots) >= min(l.inFlight, maxFlight) {
			break
		}
		p.queue.remove(n)
		p.flight.push(n)
		if n.qos > 0 {
			n.id = p.freeID()
			p.slots[n.id] = n
		}
		alias, known := l.alias(n)
		buf = n.appendFrame(buf, l.version, alias, known)
		marks = append(marks, mark{n: n, gen: n.gen, before: n.written, end: len(buf)})
		n.sends++
		n.written = true // until the write says otherwise
	}
	return buf, marks, out
}

// alias gives a topic a number, as many as the broker takes, so that its name goes over a connection once. known: it has.
func (l *link) alias(n *pending) (alias uint16, known bool) {
	if l.maxAliases == 0 {
		return 0, false
	}
	if alias, known = l.numbers[n.topic]; known {
		return alias, true
	}
	if len(l.numbers) >= min(l.maxAliases, aliasMaximum) || n.length(l.version)+frameExtra > l.maxPacket {
		return 0, false
	}
	if l.numbers == nil {
		l.numbers = map[string]uint16{}
	}
	alias = uint16(len(l.numbers) + 1)
	l.numbers[n.topic] = alias
	return alias, false
}

// refuses tells why a message cannot go over this connection.
func (l *link) refuses(n *pending) error {
	switch {
	case n.length(l.version) > l.maxPacket:
		return errTooLarge
	case n.qos > l.maxQoS && n.qos == 2:
		return errNoQoS2
	case n.qos > l.maxQoS:
		return errNoQoS1
	case n.retain && !l.retains:
		return errNoRetain
	case n.sends >= maxSends:
		return errRepeated
	}
	return nil
}

// freeID returns a packet identifier that is not in use: maxFlight is far below their number.
func (p *publisher) freeID() uint16 {
	for {
		p.lastID++
		if p.lastID != 0 && p.slots[p.lastID] == nil {
			return p.lastID
		}
	}
}

// wrote takes the result of a write: messages of QoS 0 that left whole are done, and those that did not leave whole were
// not written: a broker drops an unfinished packet.
func (p *publisher) wrote(marks []mark, bytes int, out []outcome) []outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range marks {
		switch {
		case m.n.gen != m.gen: // answered or given up by now
		case m.end > bytes:
			m.n.written = m.before
		case m.n.qos == 0:
			out = p.end(m.n, nil, out)
		}
	}
	return out
}

// readAcks takes the broker's answers until the connection ends. Under QoS 2 the first one is answered in turn, and the
// message is done with the second.
func (p *publisher) readAcks(l *link) error {
	var out []outcome
	var rels []byte
	for {
		packet, err := l.read()
		if err != nil {
			return err
		}
		switch ack := packet.Content.(type) {
		case *packets.Puback:
			out = p.acked(ack.PacketID, refusedBy(ack.ReasonCode, ack.Properties), out[:0])
		case *packets.Pubrec:
			if refused := refusedBy(ack.ReasonCode, ack.Properties); refused != nil {
				out = p.acked(ack.PacketID, refused, out[:0])
			} else {
				rels = appendRel(rels, ack.PacketID)
			}
		case *packets.Pubcomp:
			out = p.acked(ack.PacketID, nil, out[:0])
		}
		p.tell(out)
		out = out[:0]
		select {
		case p.wake <- struct{}{}:
		default:
		}
		if len(rels) > 0 && (!l.hasPacket() || len(rels) >= writeBytes) {
			if _, err := l.write(rels); err != nil {
				return err
			}
			rels = rels[:0]
		}
	}
}

// refusedBy is the refusal in a broker's answer to a message, if it is one.
func refusedBy(code byte, p *packets.Properties) error {
	if code < packets.PubackUnspecifiedError {
		return nil
	}
	return &refusal{packet: packetPublish, code: code, text: p.ReasonString}
}

func (p *publisher) acked(id uint16, refused error, out []outcome) []outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.slots[id]; n != nil {
		out = p.end(n, refused, out)
	}
	return out
}

// broken puts what the connection left unanswered first in the queue. What no connection will ever take is given up.
func (p *publisher) broken(err error) {
	p.mu.Lock()
	p.link, p.lastErr = nil, err
	clear(p.slots)
	for n := p.flight.head; n != nil; n = n.next {
		n.id = 0
	}
	p.queue.prepend(&p.flight)
	p.mu.Unlock()
	if isLasting(err) {
		p.failAll(err)
	}
}

func (p *publisher) failAll(err error) {
	var out []outcome
	p.mu.Lock()
	for n := p.queue.head; n != nil; n = p.queue.head {
		out = p.end(n, err, out)
	}
	p.mu.Unlock()
	p.tell(out)
}

// reap gives up what was not answered in time, until ctx ends. It has a goroutine of its own, so that neither a slow dial
// nor a slow write makes anybody wait longer.
func (p *publisher) reap(ctx context.Context) {
	tick := time.NewTicker(min(max(p.e.limits.ProduceTimeout/20, 10*time.Millisecond), 250*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			p.tell(p.expired(now))
		}
	}
}

// expired ends what is over its time. Both lists are in the order of their deadlines. A broker that leaves a message
// unanswered for so long is stuck, so its connection is closed.
func (p *publisher) expired(now time.Time) (out []outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stuck := false
	for _, list := range []*fifo{&p.flight, &p.queue} {
		for n := list.head; n != nil && now.After(n.deadline); n = list.head {
			stuck = stuck || list == &p.flight
			err := errTimeout
			if p.lastErr != nil && p.link == nil {
				err = fmt.Errorf("%w: %w", errTimeout, p.lastErr)
			}
			out = p.end(n, err, out)
		}
	}
	if stuck && p.link != nil {
		p.link.conn.Close()
	}
	return out
}
