package websocket

import (
	"strconv"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// requests holds decoders, so that an idle connection keeps none.
var requests = sync.Pool{New: func() any { return new(request) }}

// hear does what one frame in sluice.v1 asks for.
func (c *conn) hear(frame []byte) *closing {
	q := requests.Get().(*request)
	defer func() {
		q.trim()
		requests.Put(q)
	}()
	if bad := q.decode(frame); bad != nil {
		return bad
	}
	switch q.kind {
	case kindAck:
		if q.fields&fieldThrough != 0 {
			return c.hearThrough(q.through)
		}
		return c.hearSeqs(q.seqs)
	case kindCredit:
		if !c.window.grant(q.messages) {
			return violation("/messages", "credit would exceed "+strconv.Itoa(maxCredit)+" messages")
		}
		c.line.Wake()
	case kindPublish:
		c.publishRequest(q)
	}
	return nil
}

// grantFirst takes the credit that a client of sluice.v1 gives in the address, so that not even the first messages come
// unasked.
func (c *conn) grantFirst(text []byte) *message.Failure {
	if !c.framer.v1 || len(text) == 0 {
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil || !c.window.grant(n) {
		return &message.Failure{Status: fasthttp.StatusBadRequest,
			Message: "Invalid credit: must be a whole number of messages up to " + strconv.Itoa(maxCredit)}
	}
	return nil
}

func (c *conn) hearThrough(number uint64) *closing {
	if !c.window.through(number) {
		return violation("/through", strconv.FormatUint(number, 10)+" was not sent yet")
	}
	c.line.Wake()
	return nil
}

func (c *conn) hearSeqs(seqs []uint64) *closing {
	proved := make([]message.Message, 0, len(seqs)) // the subscription may keep them
	for i, number := range seqs {
		var m message.Message
		news, known := c.window.one(number, &m)
		if !known {
			return violation("/seqs/"+strconv.Itoa(i), strconv.FormatUint(number, 10)+" was not sent yet")
		}
		if news {
			proved = append(proved, m)
			c.feed.sub.Acknowledge(&proved[len(proved)-1])
		}
	}
	c.line.Wake()
	return nil
}

// publishRequest publishes, and has the answer sent when the outcome is known.
func (c *conn) publishRequest(q *request) {
	if !c.entrypoint.config.Publisher.Enabled {
		c.refuse(q.ref, &message.Failure{Status: fasthttp.StatusForbidden, Key: keyNotPublisher,
			Message: "clients may not publish here (publisher.enabled)"})
		return
	}
	if !c.publishes() {
		c.refuse(q.ref, httpfront.Stopping())
		return
	}
	size := len(q.content) + len(q.key) + perMessage + perAnswer
	m := message.Get()
	if q.content != nil {
		m.SetContent(q.content)
	}
	if len(q.key) > 0 {
		m.Key = m.Copy(q.key)
	}
	for i := range q.headers {
		h := &q.headers[i]
		size += len(h.name) + len(h.value)
		m.Headers = append(m.Headers, message.Header{Name: string(h.name), Value: m.Copy(h.value)})
	}
	c.enqueue(m, size, q.ref)
}

// perAnswer is what the answer to a publish may take while it waits to be written, in bytes, roughly.
const perAnswer = 512

// refuse answers a publish that went nowhere. A connection that ends has room for a few of them only; what is not answered
// is unknown to the client, as the documentation says.
func (c *conn) refuse(ref []byte, f *message.Failure) {
	c.mu.Lock()
	if open := c.leaving == nil && c.end == nil; open {
		c.inFlight += perAnswer
		c.answered += perAnswer
		c.full.Store(c.inFlight >= maxInFlight)
		c.answers = appendRefused(c.answers, ref, f)
	} else if len(c.answers) < maxWaiting {
		c.answers = appendRefused(c.answers, ref, f)
	}
	c.mu.Unlock()
	c.line.Wake()
}

// answers are framed without compression, from any goroutine.
var plain = framer{v1: true}

// appendPublished appends the answer to a publish that the broker has; where it lies is told as far as the endpoint knows.
func appendPublished(dst, ref []byte, m *message.Message) []byte {
	dst, at := openFrame(dst)
	dst = append(dst, `{"type":"published","ref":`...)
	dst = httpfront.AppendJSONString(dst, ref)
	if m.Topic != "" {
		dst = append(dst, `,"topic":`...)
		dst = httpfront.AppendJSONString(dst, m.Topic)
		dst = append(dst, `,"partition":`...)
		dst = strconv.AppendInt(dst, int64(m.Partition), 10)
		dst = append(dst, `,"offset":`...)
		dst = strconv.AppendInt(dst, m.Offset, 10)
	}
	return plain.closeFrame(append(dst, '}'), at)
}

// appendRefused appends the answer to a publish that failed.
func appendRefused(dst, ref []byte, f *message.Failure) []byte {
	dst, at := openFrame(dst)
	dst = append(dst, `{"type":"refused","ref":`...)
	dst = httpfront.AppendJSONString(dst, ref)
	dst = append(dst, `,"code":`...)
	key := f.Key
	if key == "" {
		key = message.KeyPublishFailed
	}
	dst = httpfront.AppendJSONString(dst, key)
	dst = append(dst, `,"message":`...)
	dst = httpfront.AppendJSONString(dst, httpfront.FailureText(f))
	if f.Unknown {
		dst = append(dst, `,"unknown":true`...)
	}
	return plain.closeFrame(append(dst, '}'), at)
}
