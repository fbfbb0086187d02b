package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// TestInTurn_OneAtATime has several clients send as fast as they can: what one does between two reads, no other does.
func TestInTurn_OneAtATime(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &inTurn{ln: ln, log: slog.New(slog.DiscardHandler)}
	const clients, each = 4, 2000
	processing, total := 0, 0 // without a lock, which the race detector minds
	served := make(chan struct{})
	go func() {
		defer close(served)
		l.Serve(func(_ string, c net.Conn) error {
			defer c.Close()
			for {
				if _, err := c.Read(make([]byte, 1)); err != nil {
					return err
				}
				if processing++; processing != 1 {
					t.Error("two at a time")
				}
				runtime.Gosched()
				total++
				processing--
			}
		})
	}()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := c.Write(make([]byte, each)); err != nil {
				t.Error(err)
			}
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = c.Read(make([]byte, 1)) // until the server has seen the end
		})
	}
	all.Wait()
	l.Close(func(string) {})
	<-served
	l.clients.Wait()
	if total != clients*each {
		t.Errorf("%d of %d processed", total, clients*each)
	}
}

// TestMQTT_EverybodyToEverybody has clients publish to each other with QoS 1 all at once: all get everything.
func TestMQTT_EverybodyToEverybody(t *testing.T) {
	t.Parallel()
	m, err := NewMQTT(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan error, 1)
	run, stop := context.WithCancel(context.Background())
	go func() { done <- m.Run(run) }()
	const clients, each = 6, 500
	var all sync.WaitGroup
	ready := make(chan struct{})
	var subscribed sync.WaitGroup
	subscribed.Add(clients)
	for i := range clients {
		all.Go(func() {
			if err := chatter(ctx, m.Addr(), fmt.Sprint("client", i), clients*each, each, subscribed.Done, ready); err != nil {
				t.Errorf("client %d: %v", i, err)
				cancel()
			}
		})
	}
	subscribed.Wait()
	close(ready)
	all.Wait()
	cancel()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// chatter subscribes, publishes so many messages when all are ready, and waits until it has received everybody's.
func chatter(ctx context.Context, addr, id string, receive, publish int, subscribed func(), ready <-chan struct{}) error {
	told := sync.OnceFunc(subscribed)
	defer told()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	got := make(chan struct{}, receive)
	c := paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(paho.PublishReceived) (bool, error) { got <- struct{}{}; return true, nil }}})
	if _, err := c.Connect(ctx, &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 60}); err != nil {
		return err
	}
	if _, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "t", QoS: 1}}}); err != nil {
		return err
	}
	told()
	select {
	case <-ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	for range publish {
		if _, err := c.Publish(ctx, &paho.Publish{Topic: "t", QoS: 1, Payload: []byte("x")}); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	for n := range receive {
		select {
		case <-got:
		case <-ctx.Done():
			return fmt.Errorf("received %d of %d", n, receive)
		}
	}
	return c.Disconnect(&paho.Disconnect{})
}
