package mqtt5

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// Timings of connections. A broker that comes back must be found quickly, so waits between attempts stay short.
const (
	dialTimeout  = 3 * time.Second // to connect, greet and be greeted
	writeTimeout = 5 * time.Second // a broker that takes no byte for so long is gone
	byeTimeout   = time.Second     // to say goodbye
	keepAlive    = 10              // seconds: what we tell the broker; a ping goes out every half of it
	minBackoff   = 100 * time.Millisecond
	maxBackoff   = time.Second
)

// receiveMaximum is how many messages of QoS 1 a broker may send us ahead of our acknowledgements.
const receiveMaximum = 1024

// link is one connection to the broker on which both sides have said hello. One goroutine reads; any may write whole
// packets.
type link struct {
	conn  net.Conn
	in    *bufio.Reader
	quiet time.Duration // the broker is gone when it sends nothing for so long
	most  int           // bytes of a packet that we take

	inFlight  int // messages of QoS 1 that the broker takes before it acknowledges
	maxPacket int // bytes of a packet that the broker takes
	maxQoS    byte
	retains   bool
}

// dial connects and says hello with a clean start: none and auto keep no session.
func (e *Endpoint) dial(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", e.addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	// Whatever blocks from here on ends with ctx.
	unblock := context.AfterFunc(ctx, func() { conn.Close() })
	l, err := e.greet(ctx, conn)
	if !unblock() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

func (e *Endpoint) greet(ctx context.Context, conn net.Conn) (*link, error) {
	if e.set.tls != nil {
		cfg := e.set.tls.Clone()
		cfg.ServerName = e.set.host
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		conn = secure
	}
	l := &link{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), quiet: keepAlive * time.Second,
		most: min(max(e.limits.RingBytes/2, 64<<10), maxRemaining)}
	hello := packets.NewControlPacket(packets.CONNECT)
	c := hello.Content.(*packets.Connect)
	c.ClientID, c.CleanStart, c.KeepAlive = clientID(), true, keepAlive
	c.UsernameFlag, c.Username = e.set.username != "", e.set.username
	c.PasswordFlag, c.Password = e.set.password != "", []byte(e.set.password)
	receive, most := uint16(receiveMaximum), uint32(l.most)
	c.Properties.ReceiveMaximum, c.Properties.MaximumPacketSize = &receive, &most
	if err := l.send(hello); err != nil {
		return nil, fmt.Errorf("greet: %w", err)
	}
	answer, err := l.read()
	if err != nil {
		return nil, fmt.Errorf("await the broker's greeting: %w", err)
	}
	ack, ok := answer.Content.(*packets.Connack)
	if !ok {
		return nil, fmt.Errorf("broker greets with packet type %d", answer.Type)
	}
	if ack.ReasonCode != packets.ConnackSuccess {
		return nil, &refusal{packet: "CONNECT", code: ack.ReasonCode, text: ack.Properties.ReasonString}
	}
	l.learn(ack.Properties)
	return l, nil
}

// clientID is one of our own per connection: brokers end the older of two connections with the same. 23 letters and
// digits are what every broker takes (MQTT 5, 3.1.3.1).
func clientID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return "sluice0" + hex.EncodeToString(b[:])
}

// learn takes what the broker can from its greeting.
func (l *link) learn(p *packets.Properties) {
	l.inFlight, l.maxPacket, l.maxQoS, l.retains = math.MaxUint16, math.MaxInt, 2, true
	if p.ReceiveMaximum != nil {
		l.inFlight = int(max(*p.ReceiveMaximum, 1))
	}
	if p.MaximumPacketSize != nil {
		l.maxPacket = int(*p.MaximumPacketSize)
	}
	if p.MaximumQOS != nil {
		l.maxQoS = *p.MaximumQOS
	}
	if p.RetainAvailable != nil {
		l.retains = *p.RetainAvailable != 0
	}
	if p.ServerKeepAlive != nil && *p.ServerKeepAlive > 0 {
		l.quiet = min(l.quiet, time.Duration(*p.ServerKeepAlive)*time.Second)
	}
}

// ping keeps the connection alive until ctx ends, and then says goodbye, which ends whoever reads or writes.
func (l *link) ping(ctx context.Context) {
	defer l.bye()
	tick := time.NewTicker(l.quiet / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := l.write([]byte{packets.PINGREQ << 4, 0}); err != nil {
				return
			}
		}
	}
}

// bye ends the connection in order, so that the broker suspects no failure. It may be called more than once.
func (l *link) bye() {
	_ = l.conn.SetWriteDeadline(time.Now().Add(byeTimeout)) // also for who is stuck in a write
	_, _ = l.conn.Write([]byte{packets.DISCONNECT << 4, 0})
	l.conn.Close()
}

// write sends whole packets and returns how many bytes of them left.
func (l *link) write(b []byte) (int, error) {
	_ = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails where Write does
	return l.conn.Write(b)
}

func (l *link) send(p *packets.ControlPacket) error {
	var b bytes.Buffer
	if _, err := p.WriteTo(&b); err != nil {
		return err
	}
	_, err := l.write(b.Bytes())
	return err
}

// read returns the next packet. A broker's farewell is an error.
func (l *link) read() (*packets.ControlPacket, error) {
	if !l.hasPacket() { // under load a part of the next packet is always there, and the last deadline grows old
		_ = l.conn.SetReadDeadline(time.Now().Add(l.quiet)) // fails where Read does
	}
	if err := l.checkLength(); err != nil {
		return nil, err
	}
	p, err := packets.ReadPacket(l.in)
	if err != nil {
		return nil, err
	}
	if d, ok := p.Content.(*packets.Disconnect); ok {
		return nil, &refusal{packet: "the connection", code: d.ReasonCode, text: d.Properties.ReasonString}
	}
	return p, nil
}

// checkLength looks at the length of the next packet before memory is made for it.
func (l *link) checkLength() error {
	for i := 2; i <= longestHead; i++ {
		head, err := l.in.Peek(i)
		if err != nil {
			return err
		}
		if n, ok := remaining(head); ok {
			if n > l.most {
				return fmt.Errorf("broker sends a packet of %d bytes, more than the %d that we take", n, l.most)
			}
			return nil
		}
	}
	return errors.New("broker sends a malformed packet")
}

// hasPacket tells whether the next packet can be read without waiting.
func (l *link) hasPacket() bool {
	have := l.in.Buffered()
	head, _ := l.in.Peek(min(have, longestHead)) // of what is buffered: cannot fail
	n, ok := remaining(head)
	return ok && have > n+1
}

// longestHead is the type and four bytes of length.
const longestHead = 5

// remaining reads the length out of a packet's head; false: it goes on.
func remaining(head []byte) (n int, ok bool) {
	for i := 1; i < len(head); i++ {
		n |= int(head[i]&127) << (7 * (i - 1))
		if head[i] < 128 {
			return n, true
		}
	}
	return 0, false
}

// backoff doubles from minBackoff to maxBackoff, less up to a half by chance: many workers must not come back at once.
func backoff(fails int) time.Duration {
	d := min(minBackoff<<min(max(fails-1, 0), 8), maxBackoff)
	return d/2 + mathrand.N(d/2)
}

// pause waits unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
