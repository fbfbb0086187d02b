//go:build e2e

package mqttclient

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/brokers"
	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) { brokers.Main(m, leak.Check) }

// TestReal_TenThousandBothWays publishes and reads back: all, once, in order.
func TestReal_TenThousandBothWays(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	e := run(t, config(b.Addr(), "many", ""), connectors.Limits{ProduceTimeout: time.Minute})
	c := subscribe(t, e, level(qos.Auto))
	const n = 10_000
	outcomes := make([]ack, n)
	for i := range n {
		outcomes[i] = send(t.Context(), e, level(qos.Auto), fmt.Sprint(i), nil)
	}
	for _, a := range outcomes {
		if err := next(t, a); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		c.want(fmt.Sprint(i))
	}
}

// TestReal_KilledUnderLoad kills the broker while messages come and go. Every acknowledged message was received, unless
// the subscriber was told of a gap; outcomes are known or said not to be; and both directions recover.
func TestReal_KilledUnderLoad(t *testing.T) {
	b := brokers.StartMosquitto(t, brokers.MosquittoConfig{})
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{ProduceTimeout: 2 * time.Second})
	c := subscribe(t, e, level(qos.Auto))
	var stop atomic.Bool
	var good, notStored, unknown atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !stop.Load(); i++ {
			err := publish(t, e, level(qos.Auto), fmt.Sprint(i), nil)
			f, _ := err.(*message.Failure)
			switch {
			case err == nil:
				good.Add(1)
			case f != nil && f.Status == 503 && !f.Unknown:
				notStored.Add(1)
			case f != nil && f.Status == 504 && f.Unknown:
				unknown.Add(1)
			default:
				t.Errorf("message %d: %v", i, err)
			}
		}
	}()
	for range 100 {
		c.message(message.Data)
	}
	b.Kill()
	c.message(message.Notice)
	for notStored.Load() == 0 && len(done) == 0 { // ProduceTimeout
		time.Sleep(10 * time.Millisecond)
	}
	before := good.Load()
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := c.message(message.Gap); !strings.Contains(string(m.Content), reasonConnection) {
		t.Errorf("gap %s", m.Content)
	}
	c.message(message.Notice)
	for range 100 {
		c.message(message.Data)
	}
	stop.Store(true)
	<-done
	if good.Load() <= before {
		t.Errorf("%d published before, %d after the restart", before, good.Load())
	}
	t.Logf("%d acknowledged, %d not stored, %d unknown", good.Load(), notStored.Load(), unknown.Load())
}

func TestReal_FirstPublishAfterTheReturnSucceeds(t *testing.T) {
	b := brokers.StartMosquitto(t, brokers.MosquittoConfig{})
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{})
	for range 3 {
		if err := publish(t, e, level(qos.Auto), "x", nil); err != nil {
			t.Fatal(err)
		}
		b.Kill()
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReal_Retained(t *testing.T) {
	b := brokers.StartMosquitto(t, brokers.MosquittoConfig{})
	e := run(t, config(b.Addr(), "t", `,"producer":{"retained":true}`), connectors.Limits{})
	put := func(text string) {
		t.Helper()
		if err := publish(t, e, level(qos.Auto), text, nil); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	first := subscribe(t, e, level(qos.Auto))
	first.want("one")
	put("two")
	first.want("two")
	subscribe(t, e, level(qos.None)).want("two")
	put("") // clears
	first.want("")
	late := subscribe(t, e, level(qos.Auto))
	put("three")
	late.want("three")
	first.want("three")
}

func TestReal_WrongPassword(t *testing.T) {
	file := t.TempDir() + "/passwords"
	if out, err := exec.Command(brokers.Tool(t, "mosquitto_passwd"), "-b", "-c", file, "user", "right").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	b := brokers.StartMosquitto(t, brokers.MosquittoConfig{Lines: []string{"allow_anonymous false", "password_file " + file}})
	for _, password := range []string{"right", "wrong"} {
		e := run(t, config(b.Addr(), "t", `,"security":{"auth":{"username":"user","password":"`+password+`"}}`), connectors.Limits{})
		begun := time.Now()
		err := publish(t, e, level(qos.Auto), "x", nil)
		_, err2 := trySubscribe(t, e, level(qos.Auto), connectors.SubscribeOptions{})
		if password == "right" {
			if err != nil || err2 != nil {
				t.Errorf("right password: %v, %v", err, err2)
			}
			continue
		}
		failed(t, err, 500, message.KeyConnectionFailed)
		failed(t, err2, 500, message.KeyConnectionFailed)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("answered after %s", took)
		}
	}
}

// TestReal_MessageExpiry has the broker drop a retained message when its time is over, and us as well.
func TestReal_MessageExpiry(t *testing.T) {
	b := brokers.StartMosquitto(t, brokers.MosquittoConfig{})
	e := run(t, config(b.Addr(), "t", `,"producer":{"retained":true,"messageExpiryInterval":2}`), connectors.Limits{})
	first := subscribe(t, e, level(qos.Auto))
	if err := publish(t, e, level(qos.Auto), "short", nil); err != nil {
		t.Fatal(err)
	}
	if m := first.want("short"); !strings.Contains(metadata(m), "messageExpiryInterval=2") {
		t.Error(metadata(m))
	}
	begun := time.Now()
	subscribe(t, e, level(qos.Auto)).want("short")
	time.Sleep(time.Until(begun.Add(3500 * time.Millisecond))) // the broker's clock, which nobody else can move
	other := run(t, config(b.Addr(), "t", ""), connectors.Limits{})
	for _, e := range []*Endpoint{e, other} {
		late := subscribe(t, e, level(qos.Auto))
		if err := publish(t, other, level(qos.Auto), "live", nil); err != nil {
			t.Fatal(err)
		}
		late.want("live")
	}
}

// TestReal_SlowSubscriber leaves one behind: memory stays bounded and the gap is counted exactly.
func TestReal_SlowSubscriber(t *testing.T) {
	b := brokers.StartMosquitto(t, quick)
	const ring, n = 128 << 10, 2000
	e := run(t, config(b.Addr(), "t", ""), connectors.Limits{RingBytes: ring})
	slow, fast := subscribe(t, e, level(qos.Auto)), subscribe(t, e, level(qos.Auto))
	for i := range n {
		a := send(t.Context(), e, level(qos.Auto), fmt.Sprintf("%d %0500d", i, 0), nil)
		if i%20 == 0 {
			if err := next(t, a); err != nil {
				t.Fatal(err)
			}
		}
		fast.message(message.Data)
	}
	if held := e.stats.ringBytes.Load(); held > 2*ring {
		t.Errorf("the ring holds %d bytes", held)
	}
	var lost, at int
	m := slow.message(message.Gap)
	if _, err := fmt.Sscanf(string(m.Content), `{"lost":%d,"reason":"slow-client"}`, &lost); err != nil {
		t.Fatalf("%s", m.Content)
	}
	if _, err := fmt.Sscanf(string(slow.message(message.Data).Content), "%d", &at); err != nil || at != lost {
		t.Errorf("%d lost, but goes on at %d", lost, at)
	}
}
