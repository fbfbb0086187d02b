package load

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// mqttWithin bounds one answer of the broker.
const mqttWithin = 20 * time.Second

// mqttCallers is how many publications are under way where the job does not say: as many as Mosquitto lets be.
const mqttCallers = 20

// dialMQTT connects; got is called for each message, one after the other.
func dialMQTT(ctx context.Context, job Job, name string, got func(*paho.Publish)) (*paho.Client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", job.Brokers[0])
	if err != nil {
		return nil, err
	}
	cfg := paho.ClientConfig{Conn: conn, PacketTimeout: mqttWithin}
	if got != nil {
		cfg.OnPublishReceived = []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) { got(p.Packet); return true, nil }}
	}
	client := paho.NewClient(cfg)
	if _, err := client.Connect(ctx, &paho.Connect{ClientID: fmt.Sprintf("bench-%s-%d", name, time.Now().UnixNano()), CleanStart: true, KeepAlive: 60}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to MQTT at %s: %w", job.Brokers[0], err)
	}
	return client, nil
}

// listenMQTT subscribes and collects numbers.
func listenMQTT(ctx context.Context, job Job, took func(time.Duration)) (*mqttLog, error) {
	l := &mqttLog{job: job}
	client, err := dialMQTT(ctx, job, "listen", func(p *paho.Publish) {
		n, at, ok := ReadStamp(p.Payload)
		if !ok || n >= maxNumber {
			return
		}
		now := time.Now().UnixNano()
		l.last.Store(now)
		l.first.CompareAndSwap(0, now)
		l.set.Add(n)
		if at > 0 && took != nil {
			took(time.Duration(now - at))
		}
	})
	if err != nil {
		return nil, err
	}
	l.client = client
	if _, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: job.Topic, QoS: job.QoS}}}); err != nil {
		l.close()
		return nil, fmt.Errorf("subscribe to %s: %w", job.Topic, err)
	}
	return l, nil
}

// mqttLog hears what is published to a topic.
type mqttLog struct {
	job         Job
	client      *paho.Client
	set         Set
	first, last atomic.Int64 // Unix nanoseconds
}

func (l *mqttLog) close() { _ = l.client.Disconnect(&paho.Disconnect{}) }

// numbers waits until so many numbers came, or nothing comes any more.
func (l *mqttLog) numbers(ctx context.Context, want int64) (*Set, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for l.set.size() < want && time.Since(began) < l.job.patience(l.last.Load() > 0 || l.job.Do == Post) { // what was posted is on its way
		select {
		case <-tick.C:
			if last := l.last.Load(); last > 0 && time.Unix(0, last).After(began) {
				began = time.Unix(0, last)
			}
		case <-l.client.Done():
			return nil, fmt.Errorf("the connection to MQTT ended")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &l.set, nil
}

// produceMQTT publishes Total messages, at Rate or as fast as it goes, or for as long as For says.
func produceMQTT(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	client, err := dialMQTT(ctx, job, "produce", nil)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = client.Disconnect(&paho.Disconnect{}) }()
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	callers := job.Clients
	if callers == 0 {
		callers = mqttCallers
	}
	tell.Say(Measuring, "")
	var next, acked atomic.Int64
	var failed atomic.Pointer[error]
	start := time.Now()
	pace := pace{start.Add(spin), job.Rate}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			payload := job.body()
			for ctx.Err() == nil && (job.For == 0 || time.Since(start) < job.For) {
				n := next.Add(1) - 1
				if job.For == 0 && n >= job.Total {
					return
				}
				at := int64(0)
				if job.Rate > 0 {
					t := pace.at(n)
					WaitUntil(t)
					at = t.UnixNano()
				}
				Stamp(payload, n, at)
				if _, err := client.Publish(ctx, &paho.Publish{Topic: job.Topic, QoS: job.QoS, Payload: payload}); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				acked.Add(1)
			}
		})
	}
	wg.Wait()
	out := Outcome{Messages: acked.Load(), Seconds: time.Since(start).Seconds(), Sent: acked.Load(), Delivered: acked.Load()}
	tell.Say(Measured, "")
	if err := failed.Load(); err != nil && ctx.Err() == nil {
		return out, *err
	}
	return out, ctx.Err()
}

// consumeMQTT hears Total messages that are yet to come.
func consumeMQTT(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	h := newHistogram()
	l, err := listenMQTT(ctx, job, func(d time.Duration) { record(h, d) }) // called by one goroutine
	if err != nil {
		return Outcome{}, err
	}
	defer l.close()
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	tell.Say(Measuring, "")
	set, err := l.numbers(ctx, job.Total)
	tell.Say(Measured, "")
	if err != nil {
		return Outcome{}, err
	}
	l.close() // from here on nobody else writes the histogram
	<-l.client.Done()
	out := Outcome{Messages: set.Len(), Sent: job.Total, Delivered: set.Len(), Lost: max(job.Total-set.Len(), 0), Duplicated: set.Again(), Latency: summary(h)}
	out.Seconds = time.Duration(l.last.Load() - l.first.Load()).Seconds()
	return out, nil
}
