package webhook

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/test/fake"
)

// raw serves each connection by a function of its own, in turn; the last serves the rest.
func raw(t *testing.T, serve ...func(c net.Conn, br *bufio.Reader)) (url string, conns func() int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	n := 0
	all := []net.Conn{}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			n++
			f := serve[min(n, len(serve))-1]
			all = append(all, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				f(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, c := range all {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + ln.Addr().String(), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// request reads one; false: there is none.
func request(br *bufio.Reader) bool {
	q, err := http.ReadRequest(br)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, q.Body)
	return err == nil
}

// answering answers every request on a connection with the same bytes.
func answering(text string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, br *bufio.Reader) {
		for request(br) {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// testClient has two seconds for a call.
func testClient(t *testing.T, url string) *client {
	t.Helper()
	c := &client{idleTimeout: time.Minute, timeout: 2 * time.Second, all: map[*conn]struct{}{}, open: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	}}
	t.Cleanup(c.close)
	return c
}

func (c *client) try(t *testing.T, fresh bool) (reply, error) {
	t.Helper()
	r := reply{header: &fasthttp.ResponseHeader{}}
	err := c.call(t.Context(), []byte("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"), nil, fresh, &r)
	return r, err
}

func TestClient_Answers(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", maxAnswerBody+1)
	for _, c := range []struct {
		name, answer string
		status       int
		excerpt      string
		conns        int // for two calls
		err          string
	}{
		{"empty", ok, 200, "", 1, ""},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", 1, ""},
		{"body", "HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nnope", 400, "nope", 1, ""},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200, "abcde", 1, ""},
		{"large", "HTTP/1.1 500 Oh\r\nContent-Length: 65537\r\n\r\n" + big, 500, big[:excerptBytes], 2, ""},
		{"large in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n" + big + "\r\n0\r\n\r\n", 200, big[:excerptBytes], 2, ""},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 200, "", 2, ""},
		{"informational first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok, 200, "", 1, ""},
		{"informational for ever", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10), 0, "", 2, "informational"},
		{"large head", "HTTP/1.1 200 OK\r\nX: " + big + "\r\n\r\n", 0, "", 2, "larger than 16384"},
		{"no http", "SSH-2.0-OpenSSH_9.6\r\n\r\n", 0, "", 2, "call the receiver"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, conns := raw(t, answering(c.answer))
			cl := testClient(t, url)
			for range 2 {
				r, err := cl.try(t, false)
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want %q", err, c.err)
				}
				if err == nil && (r.status != c.status || string(r.excerpt) != c.excerpt) {
					t.Errorf("status %d, excerpt %d bytes", r.status, len(r.excerpt))
				}
			}
			if n := conns(); n != c.conns {
				t.Errorf("%d connections for two calls, want %d", n, c.conns)
			}
		})
	}
}

func TestClient_StatusCountsThoughTheBodyHangs(t *testing.T) {
	t.Parallel()
	url, _ := raw(t, func(c net.Conn, br *bufio.Reader) {
		if request(br) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			_, _ = br.ReadByte() // until the client leaves
		}
	})
	begun := time.Now()
	r, err := testClient(t, url).try(t, false)
	if err != nil || r.status != 200 || time.Since(begun) > drainTime+500*time.Millisecond {
		t.Errorf("%v, %d after %v", err, r.status, time.Since(begun))
	}
}

func TestClient_SilentReceiver(t *testing.T) {
	t.Parallel()
	url, _ := raw(t, func(_ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	c := testClient(t, url)
	c.timeout = 50 * time.Millisecond
	if _, err := c.try(t, false); err == nil || err.Error() != "no answer within 50ms" {
		t.Errorf("got %v", err)
	}
}

// TestClient_ConnectionThatThePeerClosed is noticed before anything is sent over it.
func TestClient_ConnectionThatThePeerClosed(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	url, conns := raw(t, func(c net.Conn, br *bufio.Reader) {
		if request(br) {
			_, _ = io.WriteString(c, ok)
		}
		_ = c.Close()
		close(closed)
	}, answering(ok))
	c := testClient(t, url)
	if _, err := c.try(t, false); err != nil {
		t.Fatal(err)
	}
	fake.Within(t, "the close", closed)
	k := c.idle[0]
	for deadline := time.Now().Add(fake.Patience); k.alive(); { // the close is on its way
		if time.Now().After(deadline) {
			t.Fatal("the close was not noticed")
		}
	}
	if _, err := c.try(t, false); err != nil || conns() != 2 {
		t.Errorf("%v, %d connections", err, conns())
	}
}

// TestClient_ClosedInTheSameMoment: the request may have been taken, so only who allows repeats tries again.
func TestClient_ClosedInTheSameMoment(t *testing.T) {
	t.Parallel()
	url, _ := raw(t, func(c net.Conn, br *bufio.Reader) {
		if request(br) {
			_, _ = io.WriteString(c, ok)
		}
		request(br)
	}, answering(ok))
	c := testClient(t, url)
	if _, err := c.try(t, false); err != nil {
		t.Fatal(err)
	}
	_, err := c.try(t, false)
	var e *early
	if !errors.As(err, &e) || !errors.Is(err, errClosed) {
		t.Errorf("got %v, want an early %v", err, errClosed)
	}
	if _, err := c.try(t, true); err != nil {
		t.Error(err)
	}
}

func TestDispatch_ConnectionClosedInTheSameMoment(t *testing.T) {
	t.Parallel()
	for level, acked := range map[qos.Level]int{qos.AtLeastOnce: 3, qos.AtMostOnce: 0} {
		url, _ := raw(t, func(c net.Conn, br *bufio.Reader) {
			if request(br) {
				_, _ = io.WriteString(c, ok)
			}
			request(br)
		}, answering(ok))
		b := newBed(t, level, to(url, `"concurrency":1`))
		if err := b.all(data("a", "a", "a")...); err != nil {
			t.Errorf("%s: %v", level, err)
		}
		good := 0
		for _, a := range b.told() {
			if a.Status == 200 {
				good++
			}
		}
		want := map[qos.Level]int{qos.AtLeastOnce: 3, qos.AtMostOnce: 2}[level] // the second was tried once
		if good != want || len(b.told()) != 3 || len(b.sub.Acknowledged()) != acked {
			t.Errorf("%s: %d good of %+v", level, good, b.told())
		}
	}
}

func TestClient_IdleConnectionsExpire(t *testing.T) {
	t.Parallel()
	url, conns := raw(t, answering(ok))
	c := testClient(t, url)
	if _, err := c.try(t, false); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if next := c.expire(now); next.Sub(now) > c.idleTimeout || next.Before(now) {
		t.Errorf("next at %v", next)
	}
	if next := c.expire(now.Add(2 * c.idleTimeout)); !next.IsZero() || len(c.idle)+len(c.all) != 0 {
		t.Errorf("next at %v, %d idle", next, len(c.idle))
	}
	if _, err := c.try(t, false); err != nil || conns() != 2 {
		t.Errorf("%v, %d connections", err, conns())
	}
}

func TestDispatch_RefusalBeforeTheBodyWasSent(t *testing.T) {
	t.Parallel()
	url, _ := raw(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.CopyN(io.Discard, br, 64<<20)
		}
	})
	b := newBed(t, qos.AtLeastOnce, to(url))
	msgs := data("k")
	msgs[0].Content = make([]byte, 8<<20)
	if err := b.all(msgs...); err == nil || !strings.Contains(err.Error(), "answers 413") {
		t.Errorf("got %v", err)
	}
}

func TestDispatch_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(t, nil)
	r := newReceiver(t, func(_ int, _ call, w http.ResponseWriter) {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	b := newBed(t, qos.AtLeastOnce, to(r.URL))
	if err := b.all(data("k")...); err == nil || !strings.Contains(err.Error(), "redirects are not followed") {
		t.Errorf("got %v", err)
	}
	if n := len(elsewhere.got()); n != 0 {
		t.Errorf("%d calls elsewhere", n)
	}
}

func TestDispatch_NobodyThere(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprint("http://", ln.Addr())
	_ = ln.Close()
	f := failure(t, newBed(t, qos.AtLeastOnce, to(url)).all(data("k")...))
	if f.Key != "WEBHOOK_UNREACHABLE" || f.Status != 503 || !f.Retry || !strings.Contains(f.Error(), "connection refused") {
		t.Errorf("%+v", f)
	}
}
