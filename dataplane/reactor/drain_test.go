package reactor_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/planetest"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestReactor_RequestsInFlightFinishOnTheOld(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	p := start(t, planetest.Config(&planetest.Entrypoint{HandleFunc: func(ctx context.Context, x *exchange.Exchange, _ connectors.Backend) {
		if x.API.Revision == 1 {
			entered <- struct{}{}
			<-leave
		}
		if ctx.Err() != nil {
			x.HTTP.SetStatusCode(500)
		}
		x.HTTP.SetBodyString(fmt.Sprint(x.API.Revision))
	}}, nil, nil))
	p.deploy(1, planetest.API("/a/", "http-post"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.want("/a", 200, "1")
	}()
	<-entered
	p.deploy(2, planetest.API("/a/", "http-post")) // returns although the old one still drains
	p.want("/a", 200, "2")
	close(leave)
	<-done
}

// streamer is an entrypoint that streams as SSE does: it detaches, subscribes, and writes until it is told to go.
func streamer(wake chan struct{}) *planetest.Entrypoint {
	return &planetest.Entrypoint{HandleFunc: func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
		http := x.HTTP
		sub, err := b.Subscribe(ctx, x, connectors.SubscribeOptions{Wake: func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		}})
		if err != nil {
			http.SetStatusCode(503)
			return
		}
		x.Detach()
		http.Hijack(func(c net.Conn) {
			defer c.Close()
			defer sub.Close(context.Background())
			for {
				ms, err := sub.Poll(10)
				if err != nil {
					return
				}
				for _, m := range ms {
					fmt.Fprintf(c, "kind=%d reason=%d %s\n", m.Kind, m.Reason, m.Content)
					if m.Kind == message.GoAway {
						return
					}
				}
				if len(ms) == 0 {
					<-wake
				}
			}
		})
	}}
}

// open opens a stream and returns what it says up to its end.
func (p *plane) open(path string) <-chan string {
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	head := make([]byte, 12)
	if _, err := io.ReadFull(c, head); err != nil || string(head) != "HTTP/1.1 200" {
		p.t.Fatalf("%q, %v", head, err)
	}
	out := make(chan string, 1)
	go func() {
		defer c.Close()
		all, _ := io.ReadAll(c)
		out <- string(all)
	}()
	return out
}

func TestReactor_StreamsAreToldToGo(t *testing.T) {
	for _, c := range []struct {
		name string
		end  reactor.Update
		want string
	}{
		{"redeploy", reactor.Update{Revision: 2, Changed: []reactor.Deployment{deployment(planetest.API("/a/", "sse"), 2)}}, "kind=3 reason=1 Stopping, please reconnect\n"},
		{"remove", reactor.Update{Revision: 2, Removed: []string{"a"}}, "kind=3 reason=0 Stopping, please reconnect\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sub := &planetest.Subscription{}
			p := start(t, planetest.Config(nil, streamer(make(chan struct{}, 1)), &planetest.Endpoint{
				SubscribeFunc: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
					return sub, nil
				}}))
			p.deploy(1, planetest.API("/a/", "sse"), planetest.API("/b/", "sse"))
			stream := p.open("/a")
			p.apply(c.end)
			if got := <-stream; !strings.HasSuffix(got, c.want) {
				t.Errorf("the stream said %q, want the end %q", got, c.want)
			}
			if sub.Closed() != 1 {
				t.Errorf("closed %d times", sub.Closed())
			}
		})
	}
}

func TestReactor_DrainRunsOutOfTime(t *testing.T) {
	sub, opened, ended := &planetest.Subscription{}, make(chan struct{}), make(chan struct{})
	stuck := &planetest.Entrypoint{HandleFunc: func(ctx context.Context, x *exchange.Exchange, b connectors.Backend) {
		if _, err := b.Subscribe(ctx, x, connectors.SubscribeOptions{}); err != nil {
			t.Error(err)
		}
		close(opened)
		<-ctx.Done() // only the end of the drain ends this one
		x.HTTP.SetBodyString("cut")
	}}
	cfg := planetest.Config(nil, stuck, &planetest.Endpoint{
		RunFunc: func(ctx context.Context) error {
			<-ctx.Done()
			close(ended)
			return nil
		},
		SubscribeFunc: func(context.Context, *exchange.Exchange, connectors.SubscribeOptions) (connectors.Subscription, error) {
			return sub, nil // never closed by the entrypoint
		}})
	cfg.Limits.Drain = 20 * time.Millisecond
	p := start(t, cfg)
	p.deploy(1, planetest.API("/a/", "sse"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.want("/a", 200, "cut")
	}()
	<-opened
	p.apply(reactor.Update{Revision: 2, Removed: []string{"a"}})
	<-done
	<-ended
	if sub.Closed() != 1 {
		t.Errorf("subscription closed %d times, want 1", sub.Closed())
	}
	if n := cfg.Counters.CutOff.Load(); n > 1 {
		t.Errorf("%d drains cut off", n)
	}
}
