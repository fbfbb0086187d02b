package load

import (
	"io"
	"net"
	"testing"
)

// Whoever is idle must answer pings, else the server is right to hang up; and who was hung up on must be counted.
func TestWatch_AnswersPingsAndSeesTheEnd(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := newConn(Job{Do: Idle, Form: WebSocket})
	if c.net, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	defer c.net.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.parser = &frames{c: c}
	c.all.watch(c)
	if _, err := server.Write([]byte{0x80 | opPing, 2, 'h', 'i'}); err != nil {
		t.Fatal(err)
	}
	pong := make([]byte, 8)
	if _, err := io.ReadFull(server, pong); err != nil || pong[0] != 0x80|opPong || string(pong[6:]) != "hi" {
		t.Fatalf("%v % x", err, pong)
	}
	if n := c.all.gone.Load(); n != 0 {
		t.Errorf("%d gone while it is open", n)
	}
	server.Close()
	c.all.watching.Wait()
	if n := c.all.gone.Load(); n != 1 {
		t.Errorf("%d gone, want 1", n)
	}
}
