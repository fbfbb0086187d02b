package websocket_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	lib "github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/connectors/entrypoint/websocket"
	"github.com/sluice-gateway/sluice/test/fake"
)

func build(t testing.TB, cfg string) *websocket.Entrypoint {
	t.Helper()
	return buildOn(t, cfg, 1)
}

// buildOn builds the entrypoint on a loop with so many pollers; none: connections have goroutines, as TLS and pipes have.
func buildOn(t testing.TB, cfg string, pollers int) *websocket.Entrypoint {
	t.Helper()
	env := fake.Env()
	env.Loop = fake.Loop(t, pollers)
	env.Limits.MaxFrame = 64 << 10
	e, err := websocket.New([]byte(cfg), env)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// dial connects with the library, an implementation that is not ours.
func dial(t testing.TB, s *fake.Server, query string) *lib.Conn {
	t.Helper()
	c, _, err := lib.DefaultDialer.Dial("ws://"+s.Addr+"/"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(fake.Patience))
	return c
}

// closeOf reads until the connection is closed and returns the close code and reason as "1000 Bye".
func closeOf(t testing.TB, c *lib.Conn) string {
	t.Helper()
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			if e, ok := err.(*lib.CloseError); ok {
				return strings.TrimSpace(fmt.Sprintf("%d %s", e.Code, e.Text))
			}
			return err.Error()
		}
	}
}

const upgrade = "GET /?from=here HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"

// raw is a client that can break every rule.
type raw struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dialRaw(t testing.TB, s *fake.Server) *raw { return dialWith(t, s, "") }

// dialWith is dialRaw with more request headers, each ending in CRLF.
func dialWith(t testing.TB, s *fake.Server, headers string) *raw {
	t.Helper()
	c := &raw{t: t, Conn: s.Dial()}
	c.r = bufio.NewReader(c.Conn)
	_, _ = io.WriteString(c, upgrade+headers+"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("handshake: %v %v", resp, err)
	}
	return c
}

// frame builds a masked frame from its first byte and payload.
func frame(first byte, payload string) string {
	mask := [4]byte{1, 2, 3, 4}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return string(b)
}

// next reads one frame of the server, which must not be masked, as "opcode payload".
func (c *raw) next() string {
	c.t.Helper()
	var h [2]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return err.Error()
	}
	size := int(h[1])
	var ext [8]byte
	switch size {
	case 126:
		_, _ = io.ReadFull(c.r, ext[:2])
		size = int(binary.BigEndian.Uint16(ext[:]))
	case 127:
		_, _ = io.ReadFull(c.r, ext[:])
		size = int(binary.BigEndian.Uint64(ext[:]))
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		return err.Error()
	}
	if h[0] == 0x88 && size >= 2 {
		return fmt.Sprintf("88 %d %s", binary.BigEndian.Uint16(payload), payload[2:])
	}
	return fmt.Sprintf("%x %s", h[0], payload)
}

func (c *raw) send(frames ...string) {
	_, _ = io.WriteString(c, strings.Join(frames, ""))
}
