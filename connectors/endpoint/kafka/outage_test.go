package kafka

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/message"
)

// restartable is a fake cluster that keeps its port and its data.
func restartable(t *testing.T) (start func() *kfake.Cluster) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	dir := t.TempDir()
	return func() *kfake.Cluster {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SeedTopics(2, "orders"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
}

func TestOutage_IsToldAndNothingIsLost(t *testing.T) {
	start := restartable(t)
	b := newBed(t, start(), oneTopic, connectors.Limits{})
	clients := []*client{b.subscribe(auto(), ""), b.subscribe(none(), "")}
	b.mustPublish("before")
	for _, c := range clients {
		c.take(1)
	}
	b.cluster.Close()
	for _, c := range clients {
		if got := c.take(1)[0]; got.Kind != message.Notice || !strings.Contains(string(got.Content), message.KeyConnectionClosed) {
			t.Fatalf("got %+v", got)
		}
	}
	begun := time.Now()
	_, err := b.trySubscribe(auto(), "")
	if f := failureOf(t, err); f.Status != 503 || f.Key != message.KeyConnectionFailed || time.Since(begun) > controlTimeout+time.Second {
		t.Fatalf("subscribing after %v: %v", time.Since(begun), f)
	}
	b.cluster = start()
	b.mustPublish("after")
	for _, c := range clients {
		seen := map[message.Kind]int{}
		for _, m := range c.take(2) {
			seen[m.Kind]++
		}
		if seen[message.Notice] != 1 || seen[message.Data] != 1 {
			t.Fatalf("got %v", seen)
		}
	}
}

func TestOutage_FirstSubscriberIsRefusedInTime(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil, `{"bootstrapServers":"127.0.0.1:1","topics":["orders"]}`, connectors.Limits{})
	begun := time.Now()
	_, err := b.trySubscribe(auto(), "")
	if f := failureOf(t, err); f.Status != 503 || f.Key != message.KeyConnectionFailed {
		t.Fatal(f)
	}
	if took := time.Since(begun); took > controlTimeout+2*time.Second {
		t.Fatalf("took %v", took)
	}
}

func TestTopic_RecreatedIsTold(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	c := b.subscribe(auto(), "")
	b.mustPublish(numbers(0, 5)...)
	c.take(5)
	adm := b.admin()
	if _, err := adm.DeleteTopics(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for err := fmt.Errorf("not yet"); err != nil; { // the producer takes up the new topic after one refusal
		if err = b.send(auto(), message.Get()); err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	got := c.take(2)
	if got[0].Kind != message.Gap || !strings.Contains(string(got[0].Content), reasonRecreated) || got[1].Offset != 0 {
		t.Fatalf("got %s, then %+v", got[0].Content, got[1])
	}
}

func TestRun_EndsSubscriptions(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	c := b.subscribe(auto(), "")
	if view, err := c.sub.Poll(1); len(view) > 0 || err != nil {
		t.Fatal(view, err)
	}
	b.stop()
	<-c.wake
	if _, err := c.sub.Poll(1); failureOf(t, err).Key != message.KeyConnectionClosed {
		t.Fatal(err)
	}
	if _, err := b.trySubscribe(auto(), ""); failureOf(t, err).Key != message.KeyConnectionClosed {
		t.Fatal(err)
	}
}
