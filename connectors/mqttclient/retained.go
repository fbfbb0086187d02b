package mqttclient

import (
	"bytes"
	"container/list"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// retained keeps the last retained message of every topic, for subscribers that come when the upstream subscription
// exists already: the broker sends them only once. The upstream subscription asks for the retain flag as published (MQTT 5,
// 3.8.3.1), so that every change is seen. It is guarded by the feed's lock.
type retained struct {
	limit int // bytes
	bytes int
	all   map[string]*list.Element // of *kept, by topic
	order list.List                // the longest unchanged first
	short bool                     // some were dropped at the bound

	// After a reconnection the broker sends all of them anew, in the next generation; those that it does not send within
	// settle were cleared meanwhile.
	gen   int
	sweep time.Time // zero: swept
}

type kept struct {
	m       message.Message
	size    int
	gen     int
	expires time.Time // zero: never
}

// retainedShare is the part of the ring's bound that retained messages may take beside it, and settle how long a broker
// gets to send them anew.
const (
	retainedShare = 8
	settle        = 5 * time.Second
)

func (r *retained) init(limit int) {
	r.limit = limit
	r.all = map[string]*list.Element{}
}

// renew begins a generation: a new connection.
func (r *retained) renew(now time.Time) {
	r.gen++
	r.sweep = now.Add(settle)
	r.short = false
}

// put takes a retained message; one without content clears the topic's. It tells whether the message is one that
// subscribers have had before the connection broke.
func (r *retained) put(m *message.Message, size int, expires time.Time) (known bool) {
	if e := r.all[m.Topic]; e != nil {
		old := e.Value.(*kept)
		known = old.gen != r.gen && bytes.Equal(old.m.Content, m.Content)
		r.drop(e)
	}
	if len(m.Content) == 0 {
		return false
	}
	k := &kept{m: *m, size: size + perMessage, gen: r.gen, expires: expires}
	r.all[m.Topic] = r.order.PushBack(k)
	r.bytes += k.size
	for r.bytes > r.limit {
		r.drop(r.order.Front())
		r.short = true
	}
	return known
}

func (r *retained) drop(e *list.Element) {
	k := r.order.Remove(e).(*kept)
	delete(r.all, k.m.Topic)
	r.bytes -= k.size
}

// list returns the retained messages that are valid now, for one new subscriber.
func (r *retained) list(now time.Time) []message.Message {
	swept := !r.sweep.IsZero() && now.After(r.sweep)
	if swept {
		r.sweep = time.Time{}
	}
	var out []message.Message
	for e := r.order.Front(); e != nil; {
		next, k := e.Next(), e.Value.(*kept)
		if swept && k.gen != r.gen || !k.expires.IsZero() && now.After(k.expires) {
			r.drop(e)
		} else {
			out = append(out, k.m)
		}
		e = next
	}
	return out
}
