package grid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
)

// v1Reader reads sluice.v1 over a WebSocket. Under auto it resumes by its last cursor; where the level counts it gives none,
// so that what was saved for its identifier says where it is. Under at-least-once it acknowledges, of every second batch
// some messages before those that came earlier.
type v1Reader struct{}

// ackEvery is how many messages it acknowledges at a time.
const ackEvery = 16

// frameV1 is a frame of the server's.
type frameV1 struct {
	Type    string `json:"type"`
	Seq     int64  `json:"seq"`
	ID      string `json:"id"`
	Content string `json:"content"`
	Detail  string `json:"detail"`
	Cursor  string `json:"cursor"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (v1Reader) connect(ctx context.Context, to string, s *session) error {
	level := s.run.cell.level()
	if level != qos.Auto {
		s.resume = ""
	}
	if s.resume != "" {
		to += "?from=" + url.QueryEscape(s.resume)
	}
	conn, err := dialSocket(ctx, &websocket.Dialer{NetDialContext: s.dial, HandshakeTimeout: answerWithin, Subprotocols: []string{V1}}, to, s.client)
	if err != nil {
		return err
	}
	defer conn.Close()
	if conn.Subprotocol() != V1 {
		s.fatal = fmt.Errorf("the server speaks %q, not %s", conn.Subprotocol(), V1)
		return s.fatal
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	s.begin()
	for {
		var f frameV1
		if err := conn.ReadJSON(&f); err != nil {
			return err
		}
		if err := s.takeV1(ctx, &f); err != nil {
			return err
		}
		if level == qos.AtLeastOnce && f.Type == "message" && f.Seq%ackEvery == 0 {
			if err := s.ackV1(conn, f.Seq); err != nil {
				return err
			}
		}
	}
}

func (s *session) takeV1(ctx context.Context, f *frameV1) error {
	switch f.Type {
	case "message":
		if f.Seq != s.number+1 {
			s.fatal = fmt.Errorf("message %d of the connection has seq %d", s.number+1, f.Seq)
			return s.fatal
		}
		return s.got(ctx, f.Content, f.ID)
	case "gap":
		tellCutGap(s, f.Detail)
	case "goaway", "error":
		if f.Cursor != "" {
			s.resume = f.Cursor
		}
		return errors.New(f.Type + " " + f.Code + " " + f.Message)
	}
	return nil
}

// ackV1 acknowledges everything up to seq, which is the last of a batch: now at once, now every second message before the
// others.
func (s *session) ackV1(conn *websocket.Conn, seq int64) error {
	if seq/ackEvery%2 == 0 {
		var later []identity
		var seqs []int64
		for i, m := range s.unproved {
			if i%2 == 0 {
				later = append(later, m)
				continue
			}
			seqs = append(seqs, seq-int64(len(s.unproved)-1-i))
			s.run.record.tell(s.as, judge.Event{Kind: judge.Acked, Key: m.key, Seq: m.seq})
		}
		s.unproved = append(s.unproved[:0], later...)
		if err := send(conn, object{"type": "ack", "seqs": seqs}); err != nil {
			return err
		}
	}
	s.prove()
	return send(conn, object{"type": "ack", "through": seq})
}

func send(conn *websocket.Conn, frame object) error {
	text, err := json.Marshal(frame)
	if err != nil {
		return err
	}
	return conn.WriteMessage(websocket.TextMessage, text)
}
