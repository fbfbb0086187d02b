package load

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func newConn(job Job) *conn {
	s := &streams{job: job, shards: make([]shard, 1)}
	s.shards[0].h = newHistogram()
	c := &conn{all: s, shard: &s.shards[0], at: time.Now().UnixNano()}
	s.conns = []*conn{c}
	return c
}

// message is a message's content, stamped.
func message(number int64, size int) string {
	p := make([]byte, size)
	Fill(p)
	Stamp(p, number, 0)
	return string(p)
}

// cut feeds text in pieces that rapid chooses.
func cut(t *rapid.T, p parser, text string) {
	for len(text) > 0 {
		n := rapid.IntRange(1, len(text)).Draw(t, "n")
		if err := p.feed([]byte(text[:n])); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
}

func TestEvents_CutAnywhere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newConn(Job{Total: 10, Resume: true})
		var b strings.Builder
		n := rapid.IntRange(1, 20).Draw(t, "messages")
		for i := range n {
			event := fmt.Sprintf("id: id-%d\nevent: message\ndata: %s\n\n", i, message(int64(i), 40))
			fmt.Fprintf(&b, "%08x\r\n%s\r\n", len(event), event) // a chunk
			if i%3 == 0 {
				b.WriteString(":\n\nevent: gap\ndata: " + message(1000, 40) + "\n\n")
			}
		}
		b.WriteString("id: id-0\nevent: message\ndata: " + message(0, 40) + "\n\n")
		cut(t, &events{c: c}, b.String())
		gaps := int64((n + 2) / 3)
		if c.seen.Len() != int64(n) || c.seen.Again() != 1 || c.all.lost.Load() != gaps || string(c.lastID) != "id-0" {
			t.Fatalf("%d messages, %d again, %d gaps, last id %s; want %d, 1, %d, id-0", c.seen.Len(), c.seen.Again(), c.all.lost.Load(), c.lastID, n, gaps)
		}
	})
}

// A stream that ends gives its connection back, so its end must be seen in what comes.
func TestEvents_EndWithTheLastChunk(t *testing.T) {
	t.Parallel()
	c := newConn(Job{Total: 10})
	e := &events{c: c}
	event := "event: message\ndata: " + message(7, 40) + "\n\n"
	if err := e.feed(fmt.Appendf(nil, "%04x\r\n%s\r\n0", len(event), event)); err != nil {
		t.Fatal(err)
	}
	if err := e.feed([]byte("\r\n\r\n")); err != io.EOF || c.seen.Len() != 1 {
		t.Errorf("%v after %d messages, want the end after 1", err, c.seen.Len())
	}
}

func TestEvents_TellOfAnError(t *testing.T) {
	t.Parallel()
	if err := (&events{c: newConn(Job{})}).feed([]byte("event: error\ndata: {}\n\n")); err == nil {
		t.Error("an error event was passed over")
	}
}

// frame is a WebSocket frame of a server.
func frame(op byte, payload string) string {
	head := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	return string(head) + payload
}

func TestFrames_CutAnywhereAndAnswerPings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		pongs := make(chan string)
		go func() {
			p := make([]byte, 64)
			n, _ := theirs.Read(p)
			pongs <- string(p[:n])
			theirs.Close()
		}()
		c := newConn(Job{Total: 10})
		c.net = ours
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int{32, 125, 126, 1000, 70_000}), 1, 5).Draw(t, "sizes")
		text := frame(opPing, "proof 7")
		for i, size := range sizes {
			text += frame(opText, message(int64(i), size)) + frame(opPong, "")
		}
		cut(t, &frames{c: c}, text)
		if got := <-pongs; got != "\x8a\x87\x00\x00\x00\x00proof 7" {
			t.Fatalf("answered %q", got)
		}
		if c.seen.Len() != int64(len(sizes)) {
			t.Fatalf("%d messages, want %d", c.seen.Len(), len(sizes))
		}
	})
}

func TestFrames_AClosedConnectionIsAnError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{frame(opClose, ""), frame(opClose, "\x03\xf4bye")} {
		if err := (&frames{c: newConn(Job{})}).feed([]byte(text)); err == nil {
			t.Errorf("%q was passed over", text)
		}
	}
}

func TestContents_OfAPage(t *testing.T) {
	t.Parallel()
	body := []byte(`{"items":[{"id":"a","content":"` + message(3, 50) + `"},{"id":"b","content":"` + message(4, 50) + `"}],"pagination":{"nextCursor":"next","limit":"2"}}`)
	var set Set
	next, ok := member(body, `"nextCursor":"`)
	if n := contents(body, &set); n != 2 || set.Len() != 2 || next != "next" || !ok {
		t.Errorf("%d items, %d numbers, next %q", n, set.Len(), next)
	}
}
