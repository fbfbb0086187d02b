package grid

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
)

// socketReader reads a plain WebSocket: frames are messages and nothing else, so the program has no resume point. It
// answers pings as its library does, which is the proof of receipt.
type socketReader struct{}

func newSocketReader(c Cell) subscriberDriver {
	if c.Client == V1 {
		return v1Reader{}
	}
	return socketReader{}
}

func (socketReader) connect(ctx context.Context, url string, s *session) error {
	conn, err := dialSocket(ctx, &websocket.Dialer{NetDialContext: s.dial, HandshakeTimeout: answerWithin}, url, s.client)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	s.begin()
	pong := conn.PingHandler()
	conn.SetPingHandler(func(payload string) error {
		if detail, ok := strings.CutPrefix(payload, "gap "); ok {
			tellCutGap(s, detail)
		}
		s.prove()
		return pong(payload)
	})
	for {
		_, frame, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		if err := s.got(ctx, string(frame), ""); err != nil {
			return err
		}
	}
}

// tellCutGap notes a gap of which the end may be missing: a ping carries 125 bytes. What is not known is not assumed: the
// gap then holds wherever messages are missing next.
func tellCutGap(s *session, detail string) {
	if tellGap(s, detail) != nil {
		s.run.record.tell(s.as, judge.Event{Kind: judge.Gap, Reason: detail})
	}
}

func dialSocket(ctx context.Context, d *websocket.Dialer, url, client string) (*websocket.Conn, error) {
	conn, res, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http"), http.Header{clientHeader: {client}})
	if res != nil && errors.Is(err, websocket.ErrBadHandshake) {
		defer res.Body.Close()
		return nil, refusal(res)
	}
	return conn, err
}

// socketWriter publishes over plain WebSockets, which answer nothing: only the close handshake tells, since the server ends
// it with 1000 when the broker has acknowledged everything before it.
type socketWriter struct{}

func newSocketWriter() publisherDriver { return socketWriter{} }

// framesPerSocket is how many messages one connection sends before it asks.
const framesPerSocket = 100

// closeWithin bounds the wait for the answer to a close: what the worker gives the broker, and some more.
const closeWithin = 40 * time.Second

func (socketWriter) publish(ctx context.Context, p *producer) error {
	for turn := p.number; !p.finished(ctx); turn++ {
		sent, err := p.overSocket(ctx, p.run.url(turn))
		p.run.left.Add(1) // the next connection is to the other worker, whatever the fault
		clean := websocket.IsCloseError(err, websocket.CloseNormalClosure)
		for _, m := range sent {
			if clean {
				p.run.record.isStored(m, "", 0)
			}
		}
		if !clean {
			p.run.note(err)
			pause(ctx, retryPause)
		}
		if !clean || p.run.cell.level() == qos.None {
			p.newKey()
		}
	}
	return nil
}

// overSocket sends messages over one connection, closes it, and returns what was sent and how the connection ended.
func (p *producer) overSocket(ctx context.Context, url string) ([]identity, error) {
	conn, err := dialSocket(ctx, &websocket.Dialer{HandshakeTimeout: answerWithin}, url, p.client)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ended := make(chan error, 1)
	go func() { // ends with the connection
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				ended <- err
				return
			}
		}
	}()
	var sent []identity
	for range framesPerSocket {
		m, ok := p.next(ctx)
		if !ok {
			break
		}
		p.run.record.produced(m)
		sent = append(sent, m)
		if err := conn.WriteMessage(websocket.TextMessage, body(m, p.run.size)); err != nil {
			conn.Close()
			return sent, errors.Join(err, <-ended)
		}
	}
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(answerWithin)); err != nil {
		conn.Close()
		return sent, errors.Join(err, <-ended)
	}
	select {
	case err = <-ended:
	case <-time.After(closeWithin):
		conn.Close()
		err = errors.Join(errors.New("no answer to a close"), <-ended)
	}
	return sent, err
}
