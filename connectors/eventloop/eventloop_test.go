package eventloop_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors/eventloop"
	"github.com/sluice-gateway/sluice/test/fake"
)

func TestMain(m *testing.M) { fake.VerifyNoLeaks(m) }

// feed is a handler that writes numbers, 8 bytes each, as far as the source has come.
type feed struct {
	eventloop.Conn
	nc     net.Conn
	source *atomic.Int64
	at     int64
	over   int64 // the number after which it closes; 0: never
	every  time.Duration
	beats  atomic.Int64
	got    bytes.Buffer
	ended  chan error
}

func newFeed(source *atomic.Int64) *feed { return &feed{source: source, ended: make(chan error, 1)} }

const perCall = 512

func (f *feed) Next(o *eventloop.Output) eventloop.State {
	if f.every > 0 {
		f.beats.Add(1)
		o.Due(o.Now().Add(f.every))
	}
	n := min(f.source.Load(), f.at+perCall)
	if n > f.at {
		half := (f.at + n) / 2
		o.Shared(binary.BigEndian.AppendUint64(nil, uint64(f.at)))
		b := o.Buffer()
		for i := f.at + 1; i < half; i++ {
			b = binary.BigEndian.AppendUint64(b, uint64(i))
		}
		o.Commit(b)
		b = o.Buffer()
		for i := max(half, f.at+1); i < n; i++ {
			b = binary.BigEndian.AppendUint64(b, uint64(i))
		}
		o.Commit(b)
		f.at = n
	}
	switch {
	case f.over > 0 && f.at >= f.over:
		return eventloop.Close
	case n-f.at == 0 && f.source.Load() > f.at:
		return eventloop.More
	}
	return eventloop.Idle
}

func (f *feed) Written() {}

func (f *feed) Input(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, io.EOF
	}
	if f.got.Write(p); bytes.Contains(f.got.Bytes(), []byte("bad")) {
		return 0, errBad
	}
	return len(p), nil
}

var errBad = errors.New("bad input")

func (f *feed) Ended(err error) {
	_ = f.nc.Close()
	f.ended <- err
}

func (f *feed) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-f.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the connection did not end")
		return nil
	}
}

// hidden keeps a connection from being polled, as TLS does.
type hidden struct{ net.Conn }

// bed runs a loop and makes pairs of connections.
type bed struct {
	t    testing.TB
	loop *eventloop.Loop
	hide bool
	stop func()
	ln   net.Listener
}

// both runs a test on each driver.
func both(t *testing.T, f func(t *testing.T, b *bed)) {
	for name, hide := range map[string]bool{"polled": false, "goroutine": true} {
		t.Run(name, func(t *testing.T) { f(t, newBed(t, hide)) })
	}
}

func newBed(t testing.TB, hide bool) *bed {
	loop, err := eventloop.New(2)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- loop.Run(ctx) }()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, loop: loop, hide: hide, ln: ln}
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = ln.Close()
	})
	t.Cleanup(b.stop)
	return b
}

func (b *bed) pair() (client, server net.Conn) {
	b.t.Helper()
	client, err := net.Dial("tcp", b.ln.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	server, err = b.ln.Accept()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = client.Close() })
	if b.hide {
		server = hidden{server}
	}
	return client, server
}

func (b *bed) add(f *feed, o eventloop.Options) net.Conn {
	client, server := b.pair()
	f.nc = server
	b.loop.Add(&f.Conn, server, f, o)
	return client
}

// Every connection gets everything once and in order, whoever wakes it and however slowly it reads; no wake is lost.
func TestLoop_EverythingInOrder(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		const conns, total, step = 50, 8_000, 37
		var source atomic.Int64
		feeds := make([]*feed, conns)
		var readers sync.WaitGroup
		for i := range feeds {
			feeds[i] = newFeed(&source)
			feeds[i].over = total
			client := b.add(feeds[i], eventloop.Options{})
			if i%10 == 0 {
				_ = client.(*net.TCPConn).SetReadBuffer(4 << 10)
			}
			readers.Go(func() {
				buf := make([]byte, 1000)
				var rest []byte
				var next uint64
				for {
					n, err := client.Read(buf)
					rest = append(rest, buf[:n]...)
					for len(rest) >= 8 {
						if got := binary.BigEndian.Uint64(rest); got != next {
							t.Errorf("got %d, want %d", got, next)
							return
						}
						rest, next = rest[8:], next+1
					}
					if err != nil {
						break
					}
					if i%10 == 0 {
						runtime.Gosched()
					}
				}
				if next != total {
					t.Errorf("connection %d ended after %d of %d", i, next, total)
				}
			})
		}
		for n := int64(0); n < total; {
			n = min(n+step, total)
			source.Store(n)
			for _, f := range feeds {
				f.Wake()
			}
		}
		readers.Wait()
		for _, f := range feeds {
			if err := f.end(t); err != nil {
				t.Errorf("ended with %v", err)
			}
		}
	})
}

func TestLoop_Ends(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(b *bed, f *feed, client net.Conn)
		want func(error) bool
	}{
		{"client leaves", func(_ *bed, _ *feed, c net.Conn) { _ = c.Close() }, func(err error) bool { return errors.Is(err, io.EOF) }},
		{"client resets", func(_ *bed, _ *feed, c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }, func(err error) bool { return err != nil && !errors.Is(err, io.EOF) }},
		{"half of it leaves", func(_ *bed, _ *feed, c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }, func(err error) bool { return errors.Is(err, io.EOF) }},
		{"cut", func(_ *bed, f *feed, _ net.Conn) { f.Cut() }, func(err error) bool { return errors.Is(err, eventloop.ErrCut) }},
		{"refused input", func(_ *bed, _ *feed, c net.Conn) { _, _ = io.WriteString(c, "a bad word") }, func(err error) bool { return errors.Is(err, errBad) }},
		{"loop ends", func(b *bed, _ *feed, _ net.Conn) { b.stop() }, func(err error) bool { return errors.Is(err, eventloop.ErrStopped) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			both(t, func(t *testing.T, b *bed) {
				f := newFeed(new(atomic.Int64))
				client := b.add(f, eventloop.Options{Input: true})
				tt.do(b, f, client)
				if err := f.end(t); !tt.want(err) {
					t.Errorf("ended with %v", err)
				}
				f.Wake() // late wakes and cuts do nothing
				f.Cut()
			})
		})
	}
}

// A client that takes nothing is cut, and keeps only what was handed to the connection.
func TestLoop_SlowClient(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		var source atomic.Int64
		source.Store(1 << 40)
		f := newFeed(&source)
		b.add(f, eventloop.Options{WriteTimeout: 300 * time.Millisecond})
		if err := f.end(t); !errors.Is(err, eventloop.ErrSlow) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestLoop_Due(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		var source atomic.Int64
		f := newFeed(&source)
		f.every = 20 * time.Millisecond
		client := b.add(f, eventloop.Options{})
		for f.beats.Load() < 5 { // bounded by the test's own time
			runtime.Gosched()
		}
		_ = client.Close()
		_ = f.end(t)
	})
}

func TestLoop_AddAfterTheEnd(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		client, server := b.pair()
		defer client.Close()
		b.stop()
		f := newFeed(new(atomic.Int64))
		f.nc = server
		b.loop.Add(&f.Conn, server, f, eventloop.Options{})
		if err := f.end(t); !errors.Is(err, eventloop.ErrStopped) {
			t.Errorf("ended with %v", err)
		}
	})
}

// Wakes before Add count.
func TestConn_WakeBeforeAdd(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		var source atomic.Int64
		source.Store(3)
		f := newFeed(&source)
		f.over = 3
		f.Wake()
		client := b.add(f, eventloop.Options{})
		if got, err := io.ReadAll(client); len(got) != 24 || err != nil {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		_ = f.end(t)
	})
}

// sip is a handler that takes so many bytes at a time and then pauses, and goes on writing what it took after the client's
// half has ended.
type sip struct {
	eventloop.Conn
	nc    net.Conn
	most  int
	got   []byte // taken and not yet echoed
	over  bool   // the client's half has ended
	dry   atomic.Int32
	ended chan error
}

func (s *sip) Input(p []byte) (int, error) {
	if len(p) == 0 {
		s.over = true
		s.Wake()
		return 0, nil
	}
	n := min(len(p), s.most)
	s.got = append(s.got, p[:n]...)
	s.Wake()
	if n < len(p) {
		s.dry.Add(1)
		go s.Resume()
	}
	return n, nil
}

func (s *sip) Next(o *eventloop.Output) eventloop.State {
	o.Commit(append(o.Buffer(), s.got...))
	s.got = s.got[:0]
	if s.over {
		return eventloop.Close
	}
	return eventloop.Idle
}

func (s *sip) Written() {}

func (s *sip) Ended(err error) {
	_ = s.nc.Close()
	s.ended <- err
}

// Input that is paused again and again comes whole and in order, what was read early first, and what came before the client
// ended its half is answered.
func TestLoop_PausedInput(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		sent := make([]byte, 300<<10)
		for i := range sent {
			sent[i] = byte(i * 7 / 5)
		}
		const early = 1000
		client, server := b.pair()
		s := &sip{nc: server, most: 777, ended: make(chan error, 1)}
		b.loop.Add(&s.Conn, server, s, eventloop.Options{Input: true, Early: append([]byte(nil), sent[:early]...)})
		go func() {
			_, _ = client.Write(sent[early:])
			_ = client.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(client)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d of %d bytes came back, or others: %v", len(got), len(sent), err)
		}
		if err := <-s.ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		if s.dry.Load() < int32(len(sent)/(16<<10)) {
			t.Errorf("paused %d times", s.dry.Load())
		}
	})
}

// stopper takes nothing until it is told to, and tells what it was offered.
type stopper struct {
	eventloop.Conn
	nc      net.Conn
	open    atomic.Bool
	offered chan int
	ended   chan error
}

func (s *stopper) Input(p []byte) (int, error) {
	s.offered <- len(p)
	if !s.open.Load() {
		return 0, nil
	}
	return len(p), nil
}

func (s *stopper) Next(*eventloop.Output) eventloop.State { return eventloop.Idle }
func (s *stopper) Written()                               {}
func (s *stopper) Ended(err error)                        { _ = s.nc.Close(); s.ended <- err }

// While input is paused nothing more is read, so that the client is slowed down by the network; wakes do not change that.
func TestLoop_PausedInputStaysUnread(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		client, server := b.pair()
		s := &stopper{nc: server, offered: make(chan int, 1<<16), ended: make(chan error, 1)}
		b.loop.Add(&s.Conn, server, s, eventloop.Options{Input: true})
		total := 64 << 20 // more than any socket buffers
		_ = client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := client.Write(make([]byte, total))
		if err == nil {
			t.Fatal("everything was read")
		}
		for range 100 {
			s.Wake()
		}
		if first := <-s.offered; len(s.offered) > 0 || first > 64<<10 {
			t.Errorf("offered %d bytes, and %d times more", first, len(s.offered))
		}
		s.open.Store(true)
		s.Resume()
		_ = client.(*net.TCPConn).CloseWrite()
		for got := 0; got < n; {
			got += <-s.offered
		}
		for last := range s.offered { // the end
			if last == 0 {
				break
			}
		}
		s.Cut()
		if err := <-s.ended; !errors.Is(err, eventloop.ErrCut) {
			t.Errorf("ended with %v", err)
		}
	})
}
