package mqttclient

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
	byeTimeout   = 3 * time.Second // to say goodbye, and for the broker to read all that we wrote before
	keepAlive    = 10              // seconds: what we tell the broker; a ping goes out every half of it
	minBackoff   = 100 * time.Millisecond
	maxBackoff   = time.Second
)

// receiveMaximum is how many messages of QoS 1 or 2 a broker may send us ahead of our acknowledgements, and aliasMaximum
// how many topics it may give a number instead of sending their names again.
const (
	receiveMaximum = 1024
	aliasMaximum   = 256
)

// link is one connection to the broker on which both sides have said hello. One goroutine reads; any may write whole
// packets.
type link struct {
	version Version
	conn    net.Conn
	in      *bufio.Reader
	quiet   time.Duration     // the broker is gone when it sends nothing for so long
	most    int               // bytes of a packet that we take
	aliases []string          // topics by the numbers that the broker has given them; the reader's
	numbers map[string]uint16 // the numbers that we have given topics; the sender's
	last    *time.Timer       // ends the connection after a goodbye; nil: there was none

	// What the broker has said of itself.
	present    bool // it has kept our session
	inFlight   int  // messages of QoS 1 and 2 that it takes before it acknowledges
	maxPacket  int  // bytes of a packet that it takes
	maxQoS     byte
	maxAliases int // topics that we may give a number
	retains    bool
}

// hello is how a connection begins.
type hello struct {
	clientID string
	clean    bool   // forget what was kept under the client id
	expiry   uint32 // seconds for which to keep the session; MQTT 5 only, noExpiry: for ever
	buffer   int    // bytes to read at once
}

// fresh is the hello of a connection without a session.
func fresh() hello { return hello{clientID: clientID(), clean: true, buffer: 64 << 10} }

// dial connects and says hello.
func (e *Endpoint) dial(ctx context.Context, h hello) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", e.addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	// Whatever blocks from here on ends with ctx.
	unblock := context.AfterFunc(ctx, func() { conn.Close() })
	l, err := e.greet(ctx, conn, h)
	if !unblock() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

func (e *Endpoint) greet(ctx context.Context, conn net.Conn, h hello) (*link, error) {
	if e.set.tls != nil {
		secure, err := e.set.tls.Secure(ctx, conn, e.set.host, e.log)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		conn = secure
	}
	l := &link{version: e.version, conn: conn, in: bufio.NewReaderSize(conn, h.buffer), quiet: keepAlive * time.Second,
		most: min(max(e.limits.RingBytes/2, 64<<10), maxRemaining)}
	if err := l.send(e.connect(h, l.most)); err != nil {
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
		return nil, &refusal{packet: packetConnect, code: ack.ReasonCode, text: ack.Properties.ReasonString}
	}
	l.learn(ack)
	return l, nil
}

// connect makes the CONNECT packet.
func (e *Endpoint) connect(h hello, most int) *packets.ControlPacket {
	p := packets.NewControlPacket(packets.CONNECT)
	c := p.Content.(*packets.Connect)
	c.ClientID, c.CleanStart, c.KeepAlive = h.clientID, h.clean, keepAlive
	c.UsernameFlag, c.Username = e.set.username != "", e.set.username
	c.PasswordFlag, c.Password = e.set.password != "", []byte(e.set.password)
	receive, aliases, size := uint16(receiveMaximum), uint16(aliasMaximum), uint32(most)
	c.Properties.ReceiveMaximum, c.Properties.TopicAliasMaximum, c.Properties.MaximumPacketSize = &receive, &aliases, &size
	if !h.clean {
		c.Properties.SessionExpiryInterval = &h.expiry
	}
	return p
}

// clientID is one of our own per connection: brokers end the older of two connections with the same. 23 letters and
// digits are what every broker takes (MQTT 5, 3.1.3.1).
func clientID() string { return "sluice0" + randomText() }

// randomText is 16 hexadecimal digits.
func randomText() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// learn takes what the broker can from its greeting.
func (l *link) learn(ack *packets.Connack) {
	p := ack.Properties
	l.present = ack.SessionPresent
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
	if p.TopicAliasMaximum != nil {
		l.maxAliases = int(*p.TopicAliasMaximum)
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

// bye says that we go, so that the broker suspects no failure. The broker then ends the connection, or else a timer does.
// It is called once.
func (l *link) bye() { l.farewell([]byte{packets.DISCONNECT << 4, 0}) }

func (l *link) farewell(disconnect []byte) {
	_ = l.conn.SetWriteDeadline(time.Now().Add(byeTimeout)) // also for who is stuck in a write
	if _, err := l.conn.Write(disconnect); err != nil {
		l.conn.Close()
		return
	}
	l.last = time.AfterFunc(byeTimeout, func() { l.conn.Close() })
}

// close ends the connection when nobody uses it any more. After a goodbye it lets the broker end it: closing while the broker
// still sends would have it never read what we wrote last.
func (l *link) close() {
	if l.last != nil {
		_, _ = io.Copy(io.Discard, l.in) // ends with the connection
		l.last.Stop()
	}
	l.conn.Close()
}

// write sends whole packets and returns how many bytes of them left.
func (l *link) write(b []byte) (int, error) {
	_ = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails where Write does
	return l.conn.Write(b)
}

func (l *link) send(p *packets.ControlPacket) error {
	b, err := l.version.encode(p)
	if err == nil {
		_, err = l.write(b)
	}
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
	p, err := l.version.decode(l.in)
	if err != nil {
		return nil, err
	}
	switch c := p.Content.(type) {
	case *packets.Disconnect:
		return nil, &refusal{packet: packetAny, code: c.ReasonCode, text: c.Properties.ReasonString}
	case *packets.Publish:
		return p, l.unalias(c)
	}
	return p, nil
}

// unalias names the topic of a packet that has a number instead (MQTT 5, 3.3.2.3.4).
func (l *link) unalias(p *packets.Publish) error {
	if p.Properties.TopicAlias == nil {
		return nil
	}
	n := int(*p.Properties.TopicAlias)
	if n == 0 || n > aliasMaximum || p.Topic == "" && (n >= len(l.aliases) || l.aliases[n] == "") {
		return fmt.Errorf("broker uses topic alias %d, which there is not", n)
	}
	if p.Topic == "" {
		p.Topic = l.aliases[n]
		return nil
	}
	if n >= len(l.aliases) {
		l.aliases = append(l.aliases, make([]string, n+1-len(l.aliases))...)
	}
	l.aliases[n] = p.Topic
	return nil
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
