package mqttclient

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/endpoint/kafka/security"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Config is an endpoint's `configuration`. The 3.20 layout keeps everything here; the 4.x layout keeps only the address
// here and the rest in the shared configuration (spec 3.7). Both are read from both places; the shared one wins where
// both say something.
type Config struct {
	// ServerHost is the broker's name or address. Required.
	ServerHost string `json:"serverHost"`
	// ServerPort is the broker's port. Required.
	ServerPort int `json:"serverPort"`
	// Topic is read from and written to (3.20 layout).
	Topic string `json:"topic"`
	Shared
}

// Shared is an endpoint's shared configuration, its own or its group's (spec 1.6).
type Shared struct {
	Consumer *Consumer `json:"consumer"`
	Producer *Producer `json:"producer"`
	Security *Security `json:"security"`
	// ReconnectAttempts is how often connecting is tried again while a subscription starts, 0 to 10, default 3. A
	// connection that breaks later is made again for as long as there are subscribers, who are told.
	ReconnectAttempts *int `json:"reconnectAttempts"`
	// ReconnectAttempt is another spelling of the same.
	ReconnectAttempt *int `json:"reconnectAttempt"`
	// SessionExpiryInterval is how long the broker keeps the session of a client that is away, in seconds, -1 for ever, 0 not
	// at all. Default 86400. MQTT 3.1.1 cannot say it: there the broker's own setting counts.
	SessionExpiryInterval *int64 `json:"sessionExpiryInterval"`
}

// Consumer says what is read.
type Consumer struct {
	// Enabled: default true.
	Enabled *bool `json:"enabled"`
	// Topic is a topic filter; "+", "#" and "$share/group/filter" are the broker's. Default: that of the root.
	Topic string `json:"topic"`
	// QoS is the MQTT QoS to subscribe with, 1 or 2, where it is not none that is asked for, which takes 0. Default 1.
	QoS *int `json:"qos"`
}

// Producer says where messages are published.
type Producer struct {
	// Enabled: default true.
	Enabled *bool `json:"enabled"`
	// Topic to write to, without wildcards. Default: that of the root.
	Topic string `json:"topic"`
	// Retained asks the broker to keep the last message of the topic for new subscribers. Default false.
	Retained bool `json:"retained"`
	// ResponseTopic is where whoever receives a message should answer. Default: none.
	ResponseTopic string `json:"responseTopic"`
	// MessageExpiryInterval is how long the broker keeps a message for those who are away, in seconds. Default -1: for ever.
	MessageExpiryInterval *int64 `json:"messageExpiryInterval"`
	// QoS is the MQTT QoS to publish with, 1 or 2, where it is not none that is asked for, which takes 0. Default 1.
	QoS *int `json:"qos"`
}

// Security says how to connect.
type Security struct {
	Auth *Auth `json:"auth"`
	// SSL says how to encrypt (addenda 3.7-a). The block alone turns it on.
	SSL *security.SSL `json:"ssl"`
}

// Auth is how we introduce ourselves.
type Auth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// defaultAttempts and mostAttempts bound ReconnectAttempts (spec 3.7).
const (
	defaultAttempts = 3
	mostAttempts    = 10
)

// defaultSession is SessionExpiryInterval's default, in seconds (addenda 3.7-a).
const defaultSession = 86400

// settings is the one normal form of both layouts.
type settings struct {
	host          string
	port          int
	consume       bool
	produce       bool
	filter        string
	topic         string
	retained      bool
	responseTopic string
	expiry        uint32 // seconds; noExpiry: none
	session       uint32 // seconds; noExpiry: for ever
	consumeQoS    byte
	produceQoS    byte
	attempts      int
	username      string
	password      string
	tls           *security.Transport // nil: none
}

// noExpiry stands for an absent message expiry interval, and is how MQTT spells a session that never expires.
const noExpiry = math.MaxUint32

// Check decodes and validates; it finds every problem at once.
func Check(cfg, shared json.RawMessage, v Version) apidef.Problems {
	_, ps := read(cfg, shared, v)
	return ps
}

func read(cfg, shared json.RawMessage, v Version) (settings, apidef.Problems) {
	var own Config
	var group Shared
	ps := connectors.Decode(cfg, &own)
	for _, p := range connectors.Decode(shared, &group) {
		p.Pointer = connectors.SharedPrefix + p.Pointer
		ps = append(ps, p)
	}
	c := checker{problems: ps, version: v}
	s := settings{host: strings.TrimSpace(own.ServerHost), port: own.ServerPort, consume: true, produce: true,
		filter: own.Topic, topic: own.Topic, expiry: noExpiry, session: defaultSession, consumeQoS: 1, produceQoS: 1, attempts: defaultAttempts}
	if len(ps.Errors()) == 0 {
		if s.host == "" || strings.ContainsAny(s.host, "/ ") {
			c.fail("/serverHost", `must be a host's name or address, e.g. "broker-1"`)
		}
		if s.port < 1 || s.port > math.MaxUint16 {
			c.fail("/serverPort", "must be a port, 1 to 65535")
		}
	}
	c.layer(&s, "", own.Shared)
	c.layer(&s, connectors.SharedPrefix, group)
	c.topics(&s, own, group)
	if len(c.problems.Errors()) == 0 && !s.consume && !s.produce {
		c.fail("", "neither consumer nor producer is enabled: enable at least one")
	}
	return s, c.problems
}

// checker collects what is wrong.
type checker struct {
	problems apidef.Problems
	version  Version
}

func (c *checker) fail(pointer, text string) {
	c.problems = append(c.problems, connectors.Invalid(pointer, text))
}

// layer checks and applies one of the two places, found at the pointer at.
func (c *checker) layer(s *settings, at string, l Shared) {
	for name, n := range map[string]*int{"reconnectAttempts": l.ReconnectAttempts, "reconnectAttempt": l.ReconnectAttempt} {
		if n == nil {
			continue
		}
		if *n < 0 || *n > mostAttempts {
			c.fail(at+"/"+name, fmt.Sprintf("must be 0 to %d", mostAttempts))
		}
		s.attempts = *n
	}
	if n := l.SessionExpiryInterval; n != nil && c.seconds(at+"/sessionExpiryInterval", *n) {
		s.session = interval(*n)
		if c.version == V311 {
			c.problems = append(c.problems, apidef.Problem{Pointer: at + "/sessionExpiryInterval", Code: connectors.CodeUnknown,
				Severity: apidef.Warning, Message: "has no effect: MQTT 3.1.1 leaves it to the broker's own setting"})
		}
	}
	if con := l.Consumer; con != nil {
		if con.Enabled != nil {
			s.consume = *con.Enabled
		}
		if con.Topic != "" {
			s.filter = con.Topic
			c.filter(at+"/consumer/topic", con.Topic)
		}
		c.qos(&s.consumeQoS, at+"/consumer/qos", con.QoS)
	}
	if l.Producer != nil {
		c.producer(s, at+"/producer", l.Producer)
	}
	if l.Security != nil {
		c.security(s, at+"/security", l.Security)
	}
}

func (c *checker) producer(s *settings, at string, p *Producer) {
	if p.Enabled != nil {
		s.produce = *p.Enabled
	}
	if p.Topic != "" {
		s.topic = p.Topic
		c.topic(at+"/topic", p.Topic)
	}
	s.retained = s.retained || p.Retained
	if p.ResponseTopic != "" {
		s.responseTopic = p.ResponseTopic
		c.topic(at+"/responseTopic", p.ResponseTopic)
		c.needs5(at + "/responseTopic")
	}
	if n := p.MessageExpiryInterval; n != nil && c.seconds(at+"/messageExpiryInterval", *n) {
		if s.expiry = interval(*n); s.expiry != noExpiry {
			c.needs5(at + "/messageExpiryInterval")
		}
	}
	c.qos(&s.produceQoS, at+"/qos", p.QoS)
}

// needs5 refuses what MQTT 3.1.1 cannot say.
func (c *checker) needs5(at string) {
	if c.version == V311 {
		c.fail(at, "needs MQTT 5; leave it out, or use the endpoint type mqtt5")
	}
}

func (c *checker) qos(into *byte, at string, n *int) {
	switch {
	case n == nil:
	case *n == 1 || *n == 2:
		*into = byte(*n)
	default:
		c.fail(at, "must be 1 or 2; the level none takes 0")
	}
}

func (c *checker) security(s *settings, at string, sec *Security) {
	if sec.Auth != nil {
		s.username, s.password = sec.Auth.Username, sec.Auth.Password
		if len(s.username) > maxText || clean(s.username) != s.username {
			c.fail(at+"/auth/username", "must be UTF-8 text without control characters")
		}
		if len(s.password) > maxText {
			c.fail(at+"/auth/password", "is longer than MQTT can send")
		}
	}
	if sec.SSL != nil {
		transport, ps := security.ReadSSL(sec.SSL, at)
		s.tls = transport
		c.problems = append(c.problems, ps...)
	}
}

// topics checks the root topic. It may have wildcards where nobody says that it is published to: then publishing fails,
// unless an attribute names another topic.
func (c *checker) topics(s *settings, own Config, group Shared) {
	if own.Topic == "" {
		return
	}
	publishes := false
	for _, p := range []*Producer{own.Producer, group.Producer} {
		publishes = publishes || p != nil && p.Enabled != nil && *p.Enabled
	}
	if publishes && s.produce && s.topic == own.Topic {
		c.topic("/topic", own.Topic)
	} else {
		c.filter("/topic", own.Topic)
	}
}

// seconds checks an interval; anything below 0 means none.
func (c *checker) seconds(at string, n int64) bool {
	if n < math.MaxUint32 {
		return true
	}
	c.fail(at, fmt.Sprintf("must be less than %d seconds, or -1", uint32(math.MaxUint32)))
	return false
}

// interval is a checked number of seconds as MQTT spells it.
func interval(n int64) uint32 {
	if n < 0 {
		return noExpiry
	}
	return uint32(n)
}

func (c *checker) topic(at, topic string) {
	if problem := topicProblem(topic); problem != "" {
		c.fail(at, fmt.Sprintf("%q %s", topic, problem))
	}
}

func (c *checker) filter(at, filter string) {
	if problem := filterProblem(filter); problem != "" {
		c.fail(at, fmt.Sprintf("%q %s", filter, problem))
	}
}

// addr is the broker's address, looked up in the map of sample addresses.
func (s settings) addr(brokers map[string]string) string {
	addr := net.JoinHostPort(s.host, strconv.Itoa(s.port))
	if to, ok := brokers[addr]; ok {
		return to
	}
	return addr
}
