package grid

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/test/brokers"
)

// mqttBroker is the endpoint type of a real Mosquitto.
type mqttBroker struct {
	mosquitto *brokers.Mosquitto
	endpoint  string // the type's name in definitions
}

func (b *mqttBroker) server() any { return b.mosquitto }

// restart asks the broker to end: Mosquitto acknowledges before it saves, so that a kill loses what nobody else could know of.
func (b *mqttBroker) restart(ctx context.Context) error {
	if err := b.mosquitto.Stop(ctx); err != nil {
		return err
	}
	return b.mosquitto.Restart(ctx)
}

// Waits of MQTT clients.
const (
	mqttWithin = 10 * time.Second // for one answer
	mqttKeep   = 3600             // seconds that a broker keeps the witness's session
)

// mqttTopic is as many topics as there are partitions, called after their numbers. An offset is the place of a message
// among those that were acknowledged to the writer, which writes one after the other. Publish runs use the first topic.
type mqttTopic struct {
	broker    *mqttBroker
	name      string
	publisher *paho.Client // the writer's; nil: connect
	offsets   map[int]int64
	end       context.CancelFunc
	reader    sync.WaitGroup

	mu    sync.Mutex // guards the following
	seen  []mqttRecord
	ended bool // the last message came
}

type mqttRecord struct {
	partition string
	text      string
}

// lastWord is the message that tells the witness that nothing comes behind it.
var lastWord = identity{"last", 0}

// open subscribes the witness, which MQTT keeps nothing for that comes later.
func (b *mqttBroker) open(ctx context.Context, name string, _, _ int) (topic, error) {
	reading, end := context.WithCancel(context.WithoutCancel(ctx))
	t := &mqttTopic{broker: b, name: name, offsets: map[int]int64{}, end: end}
	c, err := t.listen(ctx)
	if err != nil {
		end()
		return nil, fmt.Errorf("subscribe the witness of %s: %w", name, err)
	}
	t.reader.Go(func() { t.stay(reading, c) })
	return t, nil
}

// stay keeps the witness connected; its session brings what came meanwhile.
func (t *mqttTopic) stay(ctx context.Context, c *paho.Client) {
	for {
		select {
		case <-c.Done():
		case <-ctx.Done():
			_ = c.Disconnect(&paho.Disconnect{})
			return
		}
		for again := true; again; {
			pause(ctx, retryPause)
			next, err := t.listen(ctx)
			if err == nil {
				c = next
			}
			again = err != nil && ctx.Err() == nil
		}
	}
}

// listen connects the witness.
func (t *mqttTopic) listen(ctx context.Context) (*paho.Client, error) {
	keep := uint32(mqttKeep)
	c, err := t.connect(ctx, &paho.Connect{ClientID: t.name + "-witness", Properties: &paho.ConnectProperties{SessionExpiryInterval: &keep}},
		func(p paho.PublishReceived) (bool, error) {
			t.mu.Lock()
			defer t.mu.Unlock()
			m := mqttRecord{strings.TrimPrefix(p.Packet.Topic, t.name+"/"), string(p.Packet.Payload)}
			t.seen = append(t.seen, m)
			t.ended = t.ended || m.text == string(body(lastWord, 0))
			return true, nil
		})
	if err != nil {
		return nil, err
	}
	_, err = c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: t.name + "/#", QoS: 1}}})
	return c, err
}

func (t *mqttTopic) connect(ctx context.Context, hello *paho.Connect, got func(paho.PublishReceived) (bool, error)) (*paho.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, mqttWithin)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.broker.mosquitto.Addr())
	if err != nil {
		return nil, err
	}
	cfg := paho.ClientConfig{ClientID: hello.ClientID, Conn: conn, PacketTimeout: mqttWithin}
	if got != nil {
		cfg.OnPublishReceived = append(cfg.OnPublishReceived, got)
	}
	hello.KeepAlive = 30
	c := paho.NewClient(cfg)
	if _, err := c.Connect(ctx, hello); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (t *mqttTopic) group() object {
	host, port, _ := net.SplitHostPort(t.broker.mosquitto.Addr())
	number, _ := strconv.Atoi(port)
	return object{
		"name": "group", "type": t.broker.endpoint,
		"sharedConfiguration": object{"consumer": object{"enabled": true, "topic": t.name + "/#"}, "producer": object{"enabled": true, "topic": t.name + "/0"}},
		"endpoints": []object{{"name": "endpoint", "type": t.broker.endpoint, "inheritConfiguration": true,
			"configuration": object{"serverHost": host, "serverPort": number}}},
	}
}

// write publishes at QoS 1 and waits. What is not acknowledged is not written again, or it might be there twice.
func (t *mqttTopic) write(ctx context.Context, r *recorder, partition int, m identity, body []byte) error {
	r.produced(m)
	if err := t.publish(ctx, partition, body); err != nil {
		return ctx.Err() // nobody knows, and the run goes on
	}
	r.isStored(m, strconv.Itoa(partition), t.offsets[partition])
	t.offsets[partition]++
	return ctx.Err()
}

func (t *mqttTopic) publish(ctx context.Context, partition int, body []byte) error {
	for t.publisher == nil {
		c, err := t.connect(ctx, &paho.Connect{ClientID: t.name + "-writer", CleanStart: true}, nil)
		if err == nil {
			t.publisher = c
		} else if pause(ctx, retryPause); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	_, err := t.publisher.Publish(ctx, &paho.Publish{Topic: t.name + "/" + strconv.Itoa(partition), QoS: 1, Payload: body})
	if err != nil {
		_ = t.publisher.Disconnect(&paho.Disconnect{})
		t.publisher = nil
	}
	return err
}

func (*mqttTopic) flush(context.Context) error { return nil }

func (*mqttTopic) keeps() bool { return true }

// witness waits for a last message of its own, which the broker puts behind all others.
func (t *mqttTopic) witness(ctx context.Context, r *recorder) error {
	for t.publish(ctx, 0, body(lastWord, 0)) != nil {
		if pause(ctx, retryPause); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for !t.over() {
		if pause(ctx, retryPause); ctx.Err() != nil {
			return fmt.Errorf("wait for the last message of %s: %w", t.name, ctx.Err())
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	places := map[string]int64{}
	for _, rec := range t.seen {
		m, err := parse(rec.text)
		if err != nil {
			return fmt.Errorf("topic %s/%s: %w", t.name, rec.partition, err)
		}
		if m != lastWord {
			r.witnessed(m, rec.partition, places[rec.partition])
			places[rec.partition]++
		}
	}
	return nil
}

func (t *mqttTopic) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

// cursor: MQTT has no positions.
func (*mqttTopic) cursor(string) judge.Cursor { return nil }

func (*mqttTopic) identify(text, _ string, _ int64) (identity, error) { return parse(text) }

// watch finds nothing: how far a session is, is the broker's own knowledge.
func (*mqttTopic) watch(context.Context, func(judge.Cursor)) error { return nil }

func (*mqttTopic) fixed() int { return 0 }

func (t *mqttTopic) close() {
	t.end()
	t.reader.Wait()
	if t.publisher != nil {
		_ = t.publisher.Disconnect(&paho.Disconnect{})
	}
}
