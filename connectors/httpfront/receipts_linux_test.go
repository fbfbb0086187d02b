package httpfront_test

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// id is that of messages that a client can ask for again.
var id = []byte("id")

// What the tests write: more marks than are kept and more bytes than a client's kernel takes unread, less than ours holds.
const blocks, blockSize = 40, 8 << 10

// pair returns both ends of a TCP connection.
func pair(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if client, err = net.DialTCP("tcp", nil, ln.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server = accepted.(*net.TCPConn)
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	_ = server.SetWriteBuffer(1 << 20)
	_ = server.SetWriteDeadline(time.Now().Add(fake.Patience))
	return client, server
}

// write sends the blocks and marks each with its number.
func write(t *testing.T, c net.Conn, r *httpfront.Receipts) (proven int64) {
	t.Helper()
	proven = -1
	block := make([]byte, blockSize)
	for i := range blocks {
		if _, err := c.Write(block); err != nil {
			t.Fatal(err)
		}
		if m := r.Mark(&message.Message{Topic: "t", Partition: 3, Offset: int64(i), ID: id, Content: block}, time.Now()); m != nil {
			proven = m.Offset
		}
	}
	return proven
}

// until asks until what is proven says enough.
func until(t *testing.T, r *httpfront.Receipts, enough func(*message.Message) bool) {
	t.Helper()
	end := time.Now().Add(fake.Patience)
	for {
		if m := r.Proven(time.Now()); m != nil && enough(m) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("never proven")
		}
		runtime.Gosched()
	}
}

func TestReceipts_ProvenWhenTheClientsTCPHasIt(t *testing.T) {
	t.Parallel()
	client, server := pair(t)
	r := httpfront.NewReceipts(server)
	if !r.Next().IsZero() || r.Proven(time.Now()) != nil {
		t.Error("something is unproven before anything was written")
	}
	const unread = blocks - 5
	before := write(t, server, r)
	if before > unread {
		t.Fatalf("proven through block %d although the client read nothing", before)
	}
	if m := r.Proven(time.Now()); m != nil && m.Offset > unread {
		t.Errorf("proven through block %d although the client read nothing", m.Offset)
	}
	if now := time.Now(); r.Next().Before(now) || r.Next().After(now.Add(time.Second)) {
		t.Errorf("next look in %v", time.Until(r.Next()))
	}
	if _, err := io.ReadFull(client, make([]byte, blocks*blockSize)); err != nil {
		t.Fatal(err)
	}
	last := before
	until(t, r, func(m *message.Message) bool {
		if m.Offset <= last || m.Topic != "t" || m.Partition != 3 || m.Content != nil {
			t.Errorf("%+v after %d", m, last)
		}
		last = m.Offset
		return last == blocks-1
	})
	if !r.Next().IsZero() || r.Proven(time.Now()) != nil {
		t.Error("something is unproven at the end")
	}
}

// What was not acknowledged when the connection broke is never proven.
func TestReceipts_BrokenConnection(t *testing.T) {
	t.Parallel()
	client, server := pair(t)
	r := httpfront.NewReceipts(server)
	last := write(t, server, r)
	_ = client.Close() // unread bytes: a reset
	for {              // the reset arrives
		if _, err := server.Read(make([]byte, 1)); err != nil {
			break
		}
	}
	for range 100 {
		if m := r.Proven(time.Now()); m != nil {
			last = m.Offset
		}
	}
	if last >= blocks-1 || r.Next().IsZero() {
		t.Errorf("proven through %d of %d", last, blocks-1)
	}
	_ = server.Close()
	if m := r.Mark(&message.Message{Offset: 1000}, time.Now()); m != nil {
		t.Errorf("proven on a closed connection: %+v", m)
	}
}

// What a client's TCP has counts once the connection has outlived that by the grace, or was ended in order.
func TestReceipts_Grace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		then func(*httpfront.Receipts, time.Time) *message.Message
		want bool
	}{
		{"at once", func(r *httpfront.Receipts, at time.Time) *message.Message { return r.Proven(at) }, false},
		{"just before", func(r *httpfront.Receipts, at time.Time) *message.Message {
			return r.Proven(at.Add(httpfront.Grace - 1))
		}, false},
		{"when it is over", func(r *httpfront.Receipts, at time.Time) *message.Message { return r.Proven(at.Add(httpfront.Grace)) }, true},
		{"ended in order", func(r *httpfront.Receipts, _ time.Time) *message.Message { m, _ := r.Last(true); return m }, true},
		{"reset", func(r *httpfront.Receipts, _ time.Time) *message.Message { m, _ := r.Last(false); return m }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, server := pair(t)
			r := httpfront.NewReceipts(server)
			if _, err := server.Write(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			far := time.Now().Add(time.Hour) // so that Last, which asks the clock, is early
			r.Mark(&message.Message{Offset: 7}, far)
			if _, err := io.ReadFull(client, make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			end := time.Now().Add(fake.Patience)
			for r.Proven(far) == nil && !r.Next().Equal(far.Add(httpfront.Grace)) { // until it is seen
				if time.Now().After(end) {
					t.Fatal("never seen")
				}
				runtime.Gosched()
			}
			if m := c.then(r, far); (m != nil) != c.want || m != nil && m.Offset != 7 {
				t.Errorf("got %+v", m)
			}
		})
	}
}

// What is no TCP connection proves nothing, and asks for nothing.
func TestReceipts_NoTCP(t *testing.T) {
	t.Parallel()
	_, server := net.Pipe()
	r := httpfront.NewReceipts(server)
	if m := r.Mark(&message.Message{}, time.Now()); m != nil || !r.Next().IsZero() || r.Proven(time.Now()) != nil {
		t.Error("a pipe proved something")
	}
}

func TestReceipts_Allocations(t *testing.T) {
	client, server := pair(t)
	r := httpfront.NewReceipts(server)
	m, b := &message.Message{Topic: "t", ID: id}, make([]byte, 1)
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = server.Write(b)
		r.Mark(m, now)
		_, _ = io.ReadFull(client, b)
		r.Proven(now)
	}); n > 0 {
		t.Errorf("%v allocations per write", n)
	}
}
