package mqttclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// sessions are an endpoint's sessions at the broker, by client id.
type sessions struct {
	e     *Endpoint
	turns supervise.Turns // of pages: each gets what the one before does not prove

	mu    sync.Mutex // guards the following, and session.refs and session.closing
	all   map[string]*session
	ended bool
}

// maxSessions bounds them, per endpoint: each is a connection and three goroutines.
const maxSessions = 4096

// lonelyExpiry is how long the broker keeps the session of a client that has no name to come back by, in seconds: as long
// as a lost connection may take to be made again.
const lonelyExpiry = 60

// clientPrefix begins the client ids of sessions (spec 3.7).
const clientPrefix = "gio-apim-client-"

// ask is what a subscriber wants of a session. What has the same client id is the same.
type ask struct {
	clientID string
	filter   string // as subscribed
	qos      byte
	first    bool   // at-most-once: answer the broker before handing out
	durable  bool   // the client may come back
	alone    bool   // nobody else can have the client id, since it is random
	expiry   uint32 // seconds, see noExpiry
}

func (ss *sessions) init(e *Endpoint) {
	ss.e = e
	ss.all = map[string]*session{}
}

// asked says what session x and o mean. The client id has the level's name where that is not at-least-once, since two
// entrypoints may serve one client at different levels, and a hash where an attribute chose the filter, since a session
// has one.
func (ss *sessions) asked(x *exchange.Exchange, o *connectors.SubscribeOptions, filter string) ask {
	set := &ss.e.set
	a := ask{filter: filter, qos: set.consumeQoS, first: x.QoS == qos.AtMostOnce, expiry: lonelyExpiry}
	if !x.ClientSupplied {
		a.clientID, a.alone = clientPrefix+randomText(), true
		return a
	}
	a.clientID = clientPrefix + x.ClientIdentifier
	if o.Instance != "" {
		a.clientID += "-" + o.Instance
		a.filter = shared(x.ClientIdentifier, filter)
	}
	if x.QoS != qos.AtLeastOnce {
		a.clientID += "-" + x.QoS.String()
	}
	if filter != set.filter {
		sum := sha256.Sum256([]byte(filter))
		a.clientID += "-" + hex.EncodeToString(sum[:8])
	}
	a.clientID = clean(a.clientID)
	if len(a.clientID) > maxClientID {
		sum := sha256.Sum256([]byte(a.clientID))
		a.clientID = clientPrefix + hex.EncodeToString(sum[:])
	}
	if set.session > 0 {
		a.durable, a.expiry = true, set.session
	}
	return a
}

// maxClientID bounds a client id, in bytes, as far as we make it longer than a client's own name.
const maxClientID = 1024

// shared makes a filter that the members of a group share, unless it is one already. A group's name is the client
// identifier; what may not stand in one is escaped as in a URL.
func shared(group, filter string) string {
	if isShared(filter) {
		return filter
	}
	return sharePrefix + shareEscape.Replace(clean(group)) + "/" + filter
}

var shareEscape = strings.NewReplacer("%", "%25", "/", "%2F", "+", "%2B", "#", "%23")

// subscribe makes a member of the session that a describes. p nil: it is no page.
func (ss *sessions) subscribe(ctx context.Context, a ask, p *page, wake func()) (*member, error) {
	if p != nil {
		release, err := ss.turns.Take(ctx, a.clientID, joinTimeout)
		if err != nil {
			return nil, err
		}
		p.release = release
	}
	m := &member{page: p, wake: wake}
	if err := ss.enlist(ctx, a, m); err != nil {
		if p != nil {
			p.release()
		}
		return nil, err
	}
	ss.e.stats.subscribers.Add(1)
	return m, nil
}

// enlist makes m a member of the session that a describes.
func (ss *sessions) enlist(ctx context.Context, a ask, m *member) (err error) {
	if m.s, err = ss.enter(ctx, a); err != nil {
		return err
	}
	if err = m.s.join(ctx, m); err != nil {
		ss.leave(ctx, m.s)
	}
	return err
}

// enter returns the session, counted as used, and starts it where there is none. One that is about to end is waited for,
// so that the broker has its answers before it is asked again.
func (ss *sessions) enter(ctx context.Context, a ask) (*session, error) {
	for {
		ss.mu.Lock()
		s := ss.all[a.clientID]
		switch {
		case ss.ended:
			ss.mu.Unlock()
			return nil, supervise.ErrEnded
		case s != nil && !s.closing:
			s.refs++
			ss.mu.Unlock()
			return s, nil
		case s == nil && len(ss.all) >= maxSessions:
			ss.mu.Unlock()
			return nil, &message.Failure{Status: statusRetry, Key: message.KeyUnknownError, Message: "too many sessions are open at once"}
		case s == nil:
			s = newSession(ss, a)
			s.refs = 1
			ss.all[a.clientID] = s
			ss.mu.Unlock()
			if err := ss.e.tasks.Start(ctx, s.run); err != nil {
				s.finish(subscribeFailure(err))
				return nil, err
			}
			return s, nil
		}
		ss.mu.Unlock()
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// leave ends the session with its last user, and waits, as long as ctx allows, until it has ended.
func (ss *sessions) leave(ctx context.Context, s *session) {
	ss.mu.Lock()
	s.refs--
	last := s.refs == 0
	s.closing = s.closing || last
	ss.mu.Unlock()
	if !last {
		return
	}
	s.leave.Do(func() { close(s.left) })
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

// forget takes s out of service.
func (ss *sessions) forget(s *session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.all[s.clientID] == s {
		delete(ss.all, s.clientID)
	}
}

// end fails every subscription, present and future.
func (ss *sessions) end() {
	ss.mu.Lock()
	ss.ended = true
	var all []*session
	for _, s := range ss.all {
		all = append(all, s)
	}
	ss.mu.Unlock()
	for _, s := range all {
		s.finish(subscribeFailure(supervise.ErrEnded))
		s.leave.Do(func() { close(s.left) })
	}
}
