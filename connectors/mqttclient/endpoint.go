// Package mqttclient is what the endpoints mqtt5 and mqtt have in common, which is nearly everything: it publishes messages
// to topics of an MQTT broker and serves topics to any number of subscribers, at every level.
//
// Publishing goes through one connection per endpoint, made at the first publish (publisher): QoS 0 under none, else QoS 1,
// or 2 where producer.qos says so. What a broken connection leaves unanswered is sent again over the next.
//
// Subscribing is done in one of two ways (Endpoint.Subscribe):
//
// A feed is one connection and one upstream subscription per topic filter, however many subscribers there are, for none and
// for clients under auto that have no name. It fills a ring, in which a subscriber is a place. MQTT has no log to read back
// from: who is overtaken by the ring's end loses the oldest messages and is told how many; what is published while the
// connection is broken is a gap too. Retained messages are given once to each subscriber.
//
// A session is one connection per client identifier, for auto with a supplied identifier and for at-least-once and
// at-most-once. The broker keeps it while the client is away, for sessionExpiryInterval, and everything that the client has
// not proved to have. The client id is "gio-apim-client-<identifier>", with the subscriber's Instance, the level where that is
// not at-least-once, and a hash of the filter where an attribute chose it, behind it. All subscribers of one worker that have
// the same client id share the session: each message goes to one of them. A connection with the same client id from another
// worker takes the session over; the streams here then end with a failure that says so. Clients without an identifier get a
// session of their own that lives 60 s longer than its connection, so that a broken one loses nothing, and ends with the
// client. What is retained comes once, when the session is new. Where the broker says after a reconnection that it has
// forgotten the session, every subscriber gets a gap event.
//
// A connection that broke may have been taken over and no one could tell: Mosquitto resets one on which it has bytes to read.
// So after every reconnection of a client with a name, what was received before and not answered is given up, and the broker
// says by its redelivery what is still owed, in order (session.forsake). At-least-once, clients then get again what they had not
// proved.
//
// A session's order is kept for each of its subscribers. Who leaves with messages unproved gives them back, and they go to those
// who have none that came later; the others are told to come back (503), and get everything in order.
//
// Pages (http-get, auto) are sessions too, one after the other, of clients that have an identifier; page.go tells how their cursors
// prove receipt.
//
// At-least-once: a message is acknowledged when the client has proved receipt, in the order of receipt. Unproven are at
// most receiveMaximum messages and a share of Limits.RingBytes; beyond that a slow client holds the broker up, which queues
// as its own configuration says (Mosquitto: max_queued_messages, 1000 by default, then it drops; raise it).
//
// At-most-once: a message is acknowledged before it is handed out, and handed out only when a PINGRESP has shown that the
// broker took the acknowledgement (proof.go). So no redelivery reaches a client that may have had the message, whatever
// connection or worker breaks. Where the connection breaks between the two, the message comes only if the broker sends it again,
// and the client is told of a gap. It rests on the broker remembering acknowledgements: one that is restored from an older
// state of its disk repeats what it has forgotten.
//
// Subscribers with an Instance (webhooks over several workers) share the work by a shared subscription,
// $share/<identifier>/<filter>, each with a session of its own. MQTT 5 has brokers send nothing that is retained to those
// (4.8.2); of Mosquitto 2.0, which does, it is asked not to. MQTT 3.1.1 has no word for that: there every member gets what Mosquitto
// has retained, whenever it subscribes. Mosquitto 2.0 deals messages out in turn, also to members that are away: their part waits in their session and is theirs when they come
// back under the same Instance; no other member gets it. A worker that never comes back loses its part when the session
// expires, and nobody can tell how much: with MQTT 5 after sessionExpiryInterval, with 3.1.1 after the broker's own setting
// (Mosquitto: persistent_client_expiration, by default never, so that the session takes its part and keeps it for ever). So
// Instances must be stable, sessionExpiryInterval longer than a worker may be away, and the session of one that is taken out of
// service for good be ended at the broker. Brokers that deal to connected members only
// (HiveMQ, EMQX) give a part that was not acknowledged to the others.
//
// Packets are those of paho.golang/packets, and of paho.mqtt.golang/packets for MQTT 3.1.1 (wire.go). The clients of these
// libraries are not used: they keep a goroutine waiting per publish or say nothing of the outcome, keep no order between
// publishes, cannot tell whether a packet has left, and handle acknowledgements one by one.
//
// Goroutines: all are started by Run, on request, and Run waits for them (Endpoint.spawn). Locks: feeds.mu before
// feed.mu; sessions.mu and session.mu apart; publisher.mu alone. None is held while a connection is used.
package mqttclient

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Endpoint is a broker with a topic to read and a topic to write.
type Endpoint struct {
	version Version
	set     settings
	addr    string
	log     *slog.Logger
	limits  connectors.Limits
	name    string // the API's id, in metrics
	meter   metric.Meter
	stats   stats
	lost    supervise.LogLimit

	tasks *supervise.Tasks

	out      publisher
	feeds    feeds
	sessions sessions
}

// New validates and allocates. It fails on what Check refuses.
func New(cfg, shared json.RawMessage, env connectors.Env, v Version) (*Endpoint, error) {
	set, ps := read(cfg, shared, v)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	e := &Endpoint{
		version: v, set: set, addr: set.addr(env.Brokers), log: env.Log, limits: env.Limits.WithDefaults(),
		tasks: supervise.NewTasks(),
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if env.API != nil {
		e.name = env.API.ID
	}
	if e.meter = env.Meter; e.meter == nil {
		e.meter = noop.Meter{}
	}
	e.out.init(e)
	e.feeds.init(e)
	e.sessions.init(e)
	return e, nil
}

// Run starts what subscribers and publishers ask for and owns it until ctx ends. Then it ends the subscriptions, sends
// what was accepted for publishing within Limits.Drain, and closes every connection.
func (e *Endpoint) Run(ctx context.Context) error {
	if err := e.stats.register(e.meter, e); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	defer e.stats.unregister()
	e.tasks.Run(ctx, func(work context.Context) {
		e.feeds.end()
		e.sessions.end()
		drain, cancel := context.WithTimeout(work, e.limits.Drain)
		defer cancel()
		e.out.drain(drain)
	})
	return nil
}

// Publish implements connectors.Publisher.
func (e *Endpoint) Publish(ctx context.Context, x *exchange.Exchange, m *message.Message) {
	e.out.publish(ctx, x, m)
}

var (
	_ connectors.Endpoint  = (*Endpoint)(nil)
	_ connectors.Publisher = (*Endpoint)(nil)
	_ connectors.Source    = (*Endpoint)(nil)
)
