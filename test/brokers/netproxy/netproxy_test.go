package netproxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/brokers/netproxy"
	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// echo answers every connection with what it sent, and the end with the end.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-ended })
	return ln.Addr().String()
}

func dial(t *testing.T, p *netproxy.Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func roundTrip(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	wantRead(t, c, text)
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatalf("read %q, want %q", got, want)
	}
}

func TestProxy_ForwardsAllBytesAndTheEnd(t *testing.T) {
	t.Parallel()
	p := netproxy.New(t, echo(t))
	c := dial(t, p)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 256<<10) // 4 MiB
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back, want the %d that were sent", len(got), len(sent))
	}
	if up, down := p.Transferred(); up != int64(len(sent)) || down != int64(len(sent)) {
		t.Errorf("transferred %d up, %d down; want %d each", up, down, len(sent))
	}
}

func TestProxy_CutResetsAndRefuses(t *testing.T) {
	t.Parallel()
	p := netproxy.New(t, echo(t))
	c := dial(t, p)
	roundTrip(t, c, "before")
	p.Cut()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after the cut: %v, want a reset", err)
	}
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after the cut: %v, want a refusal", err)
	}
	if err := p.Restore(); err != nil {
		t.Fatal(err)
	}
	roundTrip(t, dial(t, p), "after")
}

func TestProxy_BlackholeHoldsAndRestoreDelivers(t *testing.T) {
	t.Parallel()
	p := netproxy.New(t, echo(t))
	old := dial(t, p)
	roundTrip(t, old, "before")
	p.Blackhole()
	fresh := dial(t, p)
	for _, c := range []net.Conn{old, fresh} {
		if _, err := io.WriteString(c, "held"); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read %d bytes, %v, through a black hole", n, err)
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	}
	if err := p.Restore(); err != nil {
		t.Fatal(err)
	}
	wantRead(t, old, "held")
	wantRead(t, fresh, "held")
}

func TestProxy_ResetGoesOnAccepting(t *testing.T) {
	t.Parallel()
	p := netproxy.New(t, echo(t))
	c := dial(t, p)
	roundTrip(t, c, "before")
	p.Reset()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after the reset: %v", err)
	}
	roundTrip(t, dial(t, p), "after")
}

func TestProxy_DelaysEachWay(t *testing.T) {
	t.Parallel()
	const delay = 60 * time.Millisecond
	p := netproxy.New(t, echo(t))
	p.SetDelay(delay)
	c := dial(t, p)
	began := time.Now()
	roundTrip(t, c, "late")
	if took := time.Since(began); took < 2*delay {
		t.Errorf("a round trip took %s, want %s at least", took, 2*delay)
	}
}

func TestProxy_LimitsBandwidth(t *testing.T) {
	t.Parallel()
	const perSecond = 200_000
	p := netproxy.New(t, echo(t))
	p.SetBandwidth(perSecond)
	c := dial(t, p)
	began := time.Now()
	roundTrip(t, c, string(make([]byte, perSecond/4)))
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("a quarter of a second's bytes took %s", took)
	}
	p.SetBandwidth(0)
	roundTrip(t, c, string(make([]byte, 4*perSecond)))
}

func TestProxy_TargetGone(t *testing.T) {
	t.Parallel()
	p := netproxy.New(t, "127.0.0.1:1")
	c, err := net.Dial("tcp", p.Addr()) // the reset may come before Dial has returned
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	p.SetTarget(echo(t))
	roundTrip(t, dial(t, p), "found")
}
