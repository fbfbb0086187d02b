package kafka

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/endpoint/kafka/security"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Config is an endpoint's `configuration`. The 3.20 layout keeps everything here (spec 3.1); the 4.x layout keeps only the
// addresses here and the rest in the shared configuration (spec 3.2). Both are read from both places; the shared one
// wins where both say something.
type Config struct {
	// BootstrapServers is a comma-separated list of host:port. Required.
	BootstrapServers string `json:"bootstrapServers"`
	// Topics are read from and written to (3.20 layout).
	Topics []string `json:"topics"`
	Shared
}

// Shared is an endpoint's shared configuration, its own or its group's (spec 1.6).
type Shared struct {
	Consumer *Consumer `json:"consumer"`
	Producer *Producer `json:"producer"`
	// Security says how to connect. Default: PLAINTEXT.
	Security *security.Config `json:"security"`
}

// Consumer says what is read.
type Consumer struct {
	// Enabled: default true.
	Enabled *bool `json:"enabled"`
	// Topics to read. Default: those of the root.
	Topics []string `json:"topics"`
	// TopicPattern, instead of Topics, is a Java regular expression: every topic whose whole name matches is read, at most
	// mostTopics of them, new ones from their beginning. See newPattern for what of Java's is served. Three spellings (addenda 3.2-a).
	TopicPattern  string `json:"topicPattern"`
	TopicsPattern string `json:"topicsPattern"`
	PatternKey    string `json:"topics.pattern"`
	// EncodeMessageID gives message ids in base64 instead of plain. Default true.
	EncodeMessageID *bool `json:"encodeMessageId"`
	// AutoOffsetReset is where a client without a position starts: latest (default), earliest, or none, which refuses it.
	AutoOffsetReset string `json:"autoOffsetReset"`
	// CheckTopicExistence refuses a subscription to a missing topic, or with a pattern that matches none. Default false: it is
	// waited for.
	CheckTopicExistence bool `json:"checkTopicExistence"`
	// RemoveConfluentHeader strips the schema registry's 5 bytes from values that start with them. Default false.
	RemoveConfluentHeader bool `json:"removeConfluentHeader"`
	// GroupProtocol is how the members of a consumer group share its partitions: classic (default), in which they agree among
	// themselves, or consumer (KIP-848), in which the broker decides and nobody waits for the slowest. The latter needs Kafka 4.0,
	// takes the session's timeout from the broker, and knows no static members.
	GroupProtocol string `json:"groupProtocol"`
}

// Producer says where messages are published.
type Producer struct {
	// Enabled: default true.
	Enabled *bool `json:"enabled"`
	// Topics to write to; a message goes to each of them. Default: those of the root.
	Topics []string `json:"topics"`
	// CompressionType of batches: none (default), gzip, snappy, lz4 or zstd.
	CompressionType string `json:"compressionType"`
}

// Protocols of consumer groups, by the names that Kafka's group.protocol has.
const (
	protocolClassic  = "classic"
	protocolConsumer = "consumer"
)

// settings is the one normal form of both layouts.
type settings struct {
	reading
	bootstrap string
	consume   bool
	produce   bool
	outTopics []string // written
	reset     string   // latest, earliest, none
	nextGen   bool     // members speak the consumer protocol (KIP-848)
	codec     string   // of codecs
	security  *security.Plan
}

// Start rules of a subscription that has no position (autoOffsetReset).
const (
	resetLatest   = "latest"
	resetEarliest = "earliest"
	resetNone     = "none"
)

// sharedPrefix starts pointers into the shared configuration (connectors.EndpointType.Check).
const sharedPrefix = "/shared"

// Check decodes and validates; it finds every problem at once. A bootstrap address that is no host:port passes, since it
// decodes: building the endpoint fails on it, so that a definition can be stored before it can be deployed.
func Check(cfg, shared json.RawMessage) apidef.Problems {
	_, ps := read(cfg, shared)
	return ps
}

func read(cfg, shared json.RawMessage) (settings, apidef.Problems) {
	var own Config
	var group Shared
	ps := connectors.Decode(cfg, &own)
	for _, p := range connectors.Decode(shared, &group) {
		p.Pointer = sharedPrefix + p.Pointer
		ps = append(ps, p)
	}
	c := checker{problems: ps}
	s := settings{bootstrap: strings.TrimSpace(own.BootstrapServers), reading: reading{encodeID: true}, reset: resetLatest}
	if s.bootstrap == "" && len(ps.Errors()) == 0 {
		c.fail("/bootstrapServers", `is required, e.g. "broker-1:9092,broker-2:9092"`)
	}
	c.topics("/topics", own.Topics)
	c.consumer("", own.Consumer)
	c.consumer(sharedPrefix, group.Consumer)
	c.producer("", own.Producer)
	c.producer(sharedPrefix, group.Producer)
	s.security = c.security(own.Security, group.Security)
	s.merge(own, group)
	if len(c.problems.Errors()) == 0 && !s.consume && !s.produce {
		c.fail("", "neither consumer nor producer is enabled: enable at least one")
	}
	return s, c.problems
}

// merge applies the 3.20 defaults (both sides on, topics at the root) and then each block that is present. A side that has
// no topics stays on: an attribute may name them per message (spec 3.3); where none does, using it fails.
func (s *settings) merge(own Config, group Shared) {
	s.consume, s.produce = true, true
	s.topics, s.outTopics = own.Topics, own.Topics
	for _, c := range []*Consumer{own.Consumer, group.Consumer} {
		if c != nil {
			s.mergeConsumer(c)
		}
	}
	for _, p := range []*Producer{own.Producer, group.Producer} {
		if p == nil {
			continue
		}
		if p.Enabled != nil {
			s.produce = *p.Enabled
		}
		if len(p.Topics) > 0 {
			s.outTopics = p.Topics
		}
		if p.CompressionType != "" {
			s.codec = strings.ToLower(p.CompressionType)
		}
	}
	s.topics = distinct(s.topics)
	s.outTopics = distinct(s.outTopics)
}

func (s *settings) mergeConsumer(c *Consumer) {
	if c.Enabled != nil {
		s.consume = *c.Enabled
	}
	if len(c.Topics) > 0 {
		s.topics, s.pattern = c.Topics, nil
	}
	for _, text := range c.patterns() {
		if p, err := newPattern(text); err == nil { // else it has been told
			s.topics, s.pattern = nil, p
		}
	}
	if c.EncodeMessageID != nil {
		s.encodeID = *c.EncodeMessageID
	}
	if c.AutoOffsetReset != "" {
		s.reset = strings.ToLower(c.AutoOffsetReset)
	}
	if c.GroupProtocol != "" {
		s.nextGen = strings.EqualFold(c.GroupProtocol, protocolConsumer)
	}
	s.mustExist = s.mustExist || c.CheckTopicExistence
	s.stripMagic = s.stripMagic || c.RemoveConfluentHeader
}

// patterns are the patterns that c has, by the names of their members.
func (c *Consumer) patterns() map[string]string {
	all := map[string]string{"topicPattern": c.TopicPattern, "topicsPattern": c.TopicsPattern, "topics.pattern": c.PatternKey}
	maps.DeleteFunc(all, func(_, text string) bool { return text == "" })
	return all
}

var codecs = map[string]func() kgo.CompressionCodec{
	"":       kgo.NoCompression,
	"none":   kgo.NoCompression,
	"gzip":   kgo.GzipCompression,
	"snappy": kgo.SnappyCompression,
	"lz4":    kgo.Lz4Compression,
	"zstd":   kgo.ZstdCompression,
}

// checker collects what is wrong.
type checker struct{ problems apidef.Problems }

func (c *checker) fail(pointer, text string) {
	c.problems = append(c.problems, connectors.Invalid(pointer, text))
}

func (c *checker) consumer(at string, con *Consumer) {
	if con == nil {
		return
	}
	at += "/consumer"
	c.topics(at+"/topics", con.Topics)
	patterns := con.patterns()
	for _, name := range slices.Sorted(maps.Keys(patterns)) {
		switch _, err := newPattern(patterns[name]); {
		case err != nil:
			c.fail(at+"/"+name, err.Error())
		case len(patterns) > 1:
			c.fail(at+"/"+name, "stands beside another spelling of itself; give topicPattern alone")
		case len(con.Topics) > 0:
			c.fail(at+"/"+name, "stands beside topics; give one of them")
		}
	}
	switch strings.ToLower(con.AutoOffsetReset) {
	case "", resetLatest, resetEarliest, resetNone:
	default:
		c.fail(at+"/autoOffsetReset", fmt.Sprintf("%q is not one of latest, earliest, none", con.AutoOffsetReset))
	}
	switch strings.ToLower(con.GroupProtocol) {
	case "", protocolClassic, protocolConsumer:
	default:
		c.fail(at+"/groupProtocol", fmt.Sprintf("%q is not one of classic, consumer", con.GroupProtocol))
	}
}

func (c *checker) producer(at string, p *Producer) {
	if p == nil {
		return
	}
	c.topics(at+"/producer/topics", p.Topics)
	if _, ok := codecs[strings.ToLower(p.CompressionType)]; !ok {
		c.fail(at+"/producer/compressionType",
			fmt.Sprintf("%q is not one of none, gzip, snappy, lz4, zstd", p.CompressionType))
	}
}

// security checks both blocks. The shared one counts where it names a protocol or stands alone; a block without one must
// not turn off what the other asks for.
func (c *checker) security(own, group *security.Config) *security.Plan {
	const at = "/security"
	plan, ps := security.Read(own, at)
	shared, more := security.Read(group, sharedPrefix+at)
	c.problems = append(append(c.problems, ps...), more...)
	if group != nil && (group.Protocol != "" || own == nil) {
		return shared
	}
	return plan
}

func (c *checker) topics(at string, topics []string) {
	for i, t := range topics {
		if !validTopic(t) {
			c.fail(at+"/"+strconv.Itoa(i), fmt.Sprintf("%q is not a topic name", t))
		}
	}
}

// validTopic follows org.apache.kafka.common.internals.Topic: 1 to 249 of letters, digits, '.', '_' and '-'.
func validTopic(name string) bool {
	const most = 249
	if name == "" || len(name) > most || name == "." || name == ".." {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	}) < 0
}

// seeds splits and maps the bootstrap addresses.
func (s settings) seeds(brokers map[string]string) ([]string, error) {
	var out []string
	for addr := range strings.SplitSeq(s.bootstrap, ",") {
		addr = strings.TrimSpace(addr)
		if addr == "" {
			continue
		}
		if to, ok := brokers[addr]; ok {
			addr = to
		}
		host, port, err := net.SplitHostPort(addr)
		n, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || host == "" || bad != nil || n == 0 {
			return nil, fmt.Errorf("bootstrapServers: %q is not host:port", addr)
		}
		out = append(out, addr)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("bootstrapServers is empty")
	}
	return out, nil
}

// distinct keeps the first of equal texts.
func distinct(in []string) []string {
	var out []string
	for _, s := range in {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
