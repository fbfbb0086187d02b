package httpfront_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

func TestMain(m *testing.M) { fake.VerifyNoLeaks(m) }

// A slow client is waited for as long as it takes something, and cut when it takes nothing.
func TestConn_SlowClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := httpfront.NewConn(server, 10*time.Second)
		const size = 100
		go func() { // one byte every 9 seconds
			for range size {
				time.Sleep(9 * time.Second)
				_, _ = io.ReadFull(client, make([]byte, 1))
			}
		}()
		begin := time.Now()
		if n, err := c.Write(make([]byte, size)); n != size || err != nil {
			t.Errorf("slow client: %d %v after %v", n, err, time.Since(begin))
		}
		begin = time.Now()
		if _, err := c.Write(make([]byte, size)); err == nil || time.Since(begin) > 10*time.Second {
			t.Errorf("client that takes nothing: %v after %v", err, time.Since(begin))
		}
	})
}

func TestConn_CutEndsReadsAndWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer func() { _ = client.Close() }()
		c := httpfront.NewConn(server, time.Hour)
		done := make(chan error, 2)
		go func() { _, err := c.Write(make([]byte, 1)); done <- err }()
		go func() { _, err := c.Read(make([]byte, 1)); done <- err }()
		synctest.Wait()
		c.Cut()
		for range 2 {
			if err := <-done; err == nil {
				t.Error("a read or a write went on")
			}
		}
		if _, err := c.Write(make([]byte, 1)); err == nil || c.SetReadDeadline(time.Time{}) == nil {
			t.Error("the connection was usable after the cut")
		}
	})
}

func TestParked_Events(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := httpfront.NewConn(server, time.Second)
		var p httpfront.Parked
		p.Wake() // before there is a connection
		p.Attach(c)
		if e := p.Wait(time.Now().Add(time.Hour)); e != httpfront.Woken {
			t.Errorf("early wake: %v", e)
		}
		begin := time.Now()
		if e := p.Wait(begin.Add(time.Second)); e != httpfront.TimedOut || time.Since(begin) != time.Second {
			t.Errorf("silence: %v after %v", e, time.Since(begin))
		}
		go func() {
			time.Sleep(time.Second)
			_, _ = client.Write([]byte("ignored"))
			p.Wake()
		}()
		if e := p.Wait(time.Now().Add(time.Hour)); e != httpfront.Woken {
			t.Errorf("wake: %v", e)
		}
		go func() {
			time.Sleep(time.Second)
			_ = client.Close()
		}()
		if e := p.Wait(time.Now().Add(time.Hour)); e != httpfront.Gone {
			t.Errorf("client left: %v", e)
		}
		p.Release()
		p.Wake() // after the end
	})
}

// No wake is lost, whenever it comes.
func TestParked_NoWakeIsLost(t *testing.T) {
	t.Parallel()
	_, server := net.Pipe()
	var p httpfront.Parked
	p.Attach(httpfront.NewConn(server, time.Second))
	const rounds = 100000
	var told atomic.Int64
	ack := make(chan struct{})
	go func() {
		for range rounds {
			told.Add(1)
			p.Wake()
			<-ack
		}
	}()
	until := time.Now().Add(fake.Patience)
	for heard := int64(0); heard < rounds; {
		if e := p.Wait(until); e != httpfront.Woken {
			t.Fatalf("%v after %d wakes", e, heard)
		}
		if told.Load() > heard { // else a wake that was noticed before
			heard++
			ack <- struct{}{}
		}
	}
}

func TestGroup_Drain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g httpfront.Group
		if cut := g.Drain(t.Context()); cut != 0 {
			t.Errorf("empty group: %d cut", cut)
		}
		_, server := net.Pipe()
		polite, rude, late := g.Enter(), g.Enter(), g.Enter()
		rudeConn := httpfront.NewConn(server, time.Hour)
		rude.Attach(rudeConn)
		go func() {
			time.Sleep(time.Second)
			polite.Leave()
		}()
		go func() {
			_, _ = rudeConn.Read(make([]byte, 1)) // until cut
			rude.Leave()
		}()
		go func() { // attached only after the time is over
			time.Sleep(time.Minute)
			_, server := net.Pipe()
			c := httpfront.NewConn(server, time.Hour)
			late.Attach(c)
			_, _ = c.Write([]byte("x"))
			late.Leave()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if cut := g.Drain(ctx); cut != 2 || g.Len() != 0 {
			t.Errorf("%d cut, %d left", cut, g.Len())
		}
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api, stop := context.WithCancelCause(t.Context())
		d := httpfront.NewDeadlines(time.Second)
		first := d.Context(api, time.Now())
		if second := d.Context(api, time.Now()); second != first {
			t.Error("requests of one moment do not share a context")
		}
		time.Sleep(150 * time.Millisecond)
		later := d.Context(api, time.Now())
		begin := time.Now()
		<-first.Done()
		<-later.Done()
		if took := time.Since(begin); took < time.Second || took > 1100*time.Millisecond || !errors.Is(context.Cause(later), httpfront.ErrRequestTimeout) {
			t.Errorf("ended after %v: %v", took, context.Cause(later))
		}
		last := d.Context(api, time.Now())
		stop(message.ErrRedeploy)
		<-last.Done()
		if httpfront.StopReason(last) != message.ReasonRedeploy {
			t.Error(context.Cause(last))
		}
	})
}

func TestLogLimit(t *testing.T) {
	t.Parallel()
	var l httpfront.LogLimit
	now := time.Unix(1000, 0)
	if !l.Allow(now) || l.Allow(now) || l.Allow(now.Add(time.Second)) || l.Suppressed() != 2 || !l.Allow(now.Add(11*time.Second)) {
		t.Error("one line per 10 s")
	}
}

func TestAppendFailure_KeepsTextAsItIs(t *testing.T) {
	t.Parallel()
	body, contentType := httpfront.AppendFailure(nil, &message.Failure{Message: "a\n\"b\""}, false)
	if !bytes.Equal(body, []byte("a\n\"b\"")) || contentType != "text/plain" {
		t.Errorf("%q %q", body, contentType)
	}
}
