package websocket_test

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/connectors/entrypoint/websocket"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// bubbled is one connection over a pipe, in a bubble whose time passes only while everybody waits.
type bubbled struct {
	*raw
	stop context.CancelCauseFunc
	done <-chan struct{}
}

func bubble(t *testing.T, level qos.Level, b *fake.Backend, sub *watched) *bubbled {
	ctx, stop := context.WithCancelCause(t.Context())
	x := &exchange.Exchange{API: &exchange.API{ID: "api"}, QoS: level}
	client, done := websocket.ServePipe(ctx, buildOn(t, "", 0), x, b, sub)
	r := bufio.NewReader(client)
	if _, err := r.Discard(1); err != nil {
		t.Fatal(err)
	}
	return &bubbled{&raw{t: t, Conn: client, r: r}, stop, done}
}

// leave ends the connection and waits for its goroutines.
func (c *bubbled) leave() {
	_ = c.Close()
	<-c.done
	c.stop(nil)
}

// silent fails the test where the server sends something within d.
func (c *bubbled) silent(d time.Duration) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(d))
	if f := c.next(); !strings.Contains(f, "timeout") {
		c.t.Fatalf("%.80q", f)
	}
	_ = c.SetReadDeadline(time.Time{})
}

// A client in the middle of a long frame cannot answer a ping, and need not.
func TestTime_SlowFrameIsASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, got := published()
		sub, watching := watch()
		b.OnSubscribe = watching.OnSubscribe
		c := bubble(t, qos.Auto, b, sub)
		defer c.leave()
		f := frame(0x81, strings.Repeat("x", 30))
		for i := range len(f) { // for ten times as long as a silent client has
			_, _ = io.WriteString(c, f[i:i+1])
			time.Sleep(12 * time.Second)
		}
		if g := <-got; g != strings.Repeat("x", 30) {
			t.Errorf("%q", g)
		}
	})
}

// A client that reads, and never answers, is cut after 30 s, and nothing counts as delivered.
func TestTime_ProofNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub, b := watch()
		c := bubble(t, qos.AtLeastOnce, b, sub)
		sub.Push(numbered(1, 3, "x")...)
		begun := time.Now()
		ping := c.proofOf(3)
		time.Sleep(29 * time.Second)
		c.send(frame(0x8a, ping))
		until(t, sub.delivered, 3)
		sub.Push(numbered(4, 1, strings.Repeat("x", 64<<10))...) // 4 s more, as long as a slow network takes for it
		c.proofOf(1)
		if f := c.next(); f != "EOF" {
			t.Errorf("%q", f)
		}
		if took := time.Since(begun).Round(time.Second); took != 29*time.Second+34*time.Second {
			t.Errorf("cut after %v", took)
		}
		c.leave()
		if d := sub.Delivered(); d != 3 {
			t.Errorf("delivered through %d", d)
		}
	})
}

// A client whose frames wait for the broker cannot be heard proving, and is not cut for that.
func TestTime_ProofWhileThePublisherWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub, b := watch()
		held := make(chan *message.Message, 100)
		b.OnPublish = func(_ context.Context, _ *exchange.Exchange, m *message.Message) { held <- m }
		c := bubble(t, qos.AtLeastOnce, b, sub)
		defer c.leave()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range 17 { // the last one has to wait
				c.send(frame(0x81, strings.Repeat("x", 60<<10)))
			}
		}()
		<-sent
		sub.Push(numbered(1, 1, "x")...)
		ping := c.proofOf(1)
		c.silent(10 * time.Minute)
		go func() {
			for range 17 {
				(<-held).Done(nil)
			}
		}()
		c.send(frame(0x8a, ping))
		until(t, sub.delivered, 1)
	})
}

// An API that stops waits 2 s for the proof of what it sent, and no longer.
func TestTime_StopWaitsForProof(t *testing.T) {
	for _, proves := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			sub, b := watch()
			c := bubble(t, qos.AtLeastOnce, b, sub)
			sub.Push(numbered(1, 3, "x")...)
			ping := c.proofOf(3)
			c.stop(message.ErrRedeploy)
			c.silent(1900 * time.Millisecond)
			want := int64(-1)
			if proves {
				want = 3
				c.send(frame(0x8a, ping))
			}
			begun := time.Now()
			if f := c.next(); f != "88 1012 Service Restart" {
				t.Errorf("%q", f)
			}
			if took := time.Since(begun); (took == 0) != proves || took > 100*time.Millisecond {
				t.Errorf("closed after %v more", took)
			}
			c.leave()
			if d := sub.Delivered(); d != want {
				t.Errorf("delivered through %d, want %d", d, want)
			}
		})
	}
}
