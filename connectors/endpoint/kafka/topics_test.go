package kafka

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// field is a cluster on which a test makes topics whose names begin with its prefix.
type field struct {
	*site
	prefix string
}

func (f *field) create(names ...string) {
	f.t.Helper()
	for _, name := range names {
		if _, err := kadm.NewClient(f.cl).CreateTopic(f.t.Context(), 2, 1, nil, f.prefix+name); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *field) put(topic string, contents ...string) {
	f.t.Helper()
	for i, content := range contents {
		r := &kgo.Record{Topic: f.prefix + topic, Partition: int32(i % 2), Value: []byte(content)}
		if err := f.cl.ProduceSync(f.t.Context(), r).FirstErr(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// reads is a worker that reads the topics of a pattern.
func (f *field) reads(more string) *bed {
	return newBed(f.t, nil, fmt.Sprintf(`{"bootstrapServers":%q,"consumer":{"topicPattern":"%s(in|new)-.*"%s}}`,
		strings.Join(f.seeds, ","), f.prefix, more), connectors.Limits{})
}

// until looks for new topics, in place of refreshMatches, until the worker knows as many as n.
func (b *bed) until(n int) {
	b.t.Helper()
	f, err := b.e.feeds.of(b.e.set.reading)
	if err != nil {
		b.t.Fatal(err)
	}
	for len(f.reader.lay.Load().index) < n {
		if f.reader.refresh(b.t.Context()); b.t.Context().Err() != nil {
			b.t.Fatal(b.t.Context().Err())
		}
	}
}

func sortedContents(ms []message.Message) string {
	out := contents(ms)
	slices.Sort(out)
	return strings.Join(out, " ")
}

func testPattern(t *testing.T, f *field) {
	f.create("in-a", "in-b", "out-a")
	b := f.reads("")
	s := b.subscribe(auto(), "")
	f.put("in-a", "1", "2")
	f.put("out-a", "none of it")
	f.put("in-b", "3", "4")
	got := s.take(4)
	if text := sortedContents(got); text != "1 2 3 4" {
		t.Fatalf("got %s", text)
	}
	f.create("new-c")
	f.put("new-c", "5", "6")
	other := f.reads("") // has not heard of new-c, and a client comes with a cursor that names it
	other.subscribe(auto(), "")
	b.until(3)
	got = s.take(2)
	if text := sortedContents(got); text != "5 6" {
		t.Fatalf("of the new topic, got %s", text)
	}
	f.put("in-a", "7")
	if text := sortedContents(other.subscribe(auto(), string(got[1].ID)).take(1)); text != "7" {
		t.Fatalf("behind the cursor, got %s", text)
	}
	for _, cursor := range []string{f.prefix + "out-a@0#0", f.prefix + "new-never@0#0", "rubbish@0#0"} {
		_, err := other.trySubscribe(auto(), cursor)
		if fail := failureOf(t, err); fail.Status != statusBadCursor {
			t.Errorf("%s: %v", cursor, fail)
		}
	}
}

func testPatternMember(t *testing.T, f *field) {
	b := f.reads(`,"autoOffsetReset":"earliest"`)
	first := b.mustOpen(leastOnce(f.prefix+"client"), connectors.SubscribeOptions{})
	f.create("in-a")
	f.put("in-a", "1", "2")
	b.until(1) // there was none when it joined
	if text := sortedContents(first.take(2)); text != "1 2" {
		t.Fatalf("got %s", text)
	}
	f.create("new-b")
	f.put("new-b", "3", "4")
	b.until(2)
	got := first.take(2)
	if text := sortedContents(got); text != "3 4" {
		t.Fatalf("of the new topic, got %s", text)
	}
	first.sub.DeliveredThrough(&got[1])
	first.sub.Close(t.Context())
	f.put("new-b", "5")
	again := f.reads("").mustOpen(leastOnce(f.prefix+"client"), connectors.SubscribeOptions{})
	if text := sortedContents(again.take(1)); text != "5" {
		t.Fatalf("when it came back, got %s", text)
	}
}

// testPatternTopicDeleted holds that a subscriber that begins before the live end reaches it, although nothing can be read any
// more of a topic that the others have read.
func testPatternTopicDeleted(t *testing.T, f *field) {
	f.create("in-a", "in-b")
	b := f.reads("")
	s := b.subscribe(auto(), "")
	f.put("in-a", "1", "2")
	f.put("in-b", "3", "4")
	s.take(4)
	if _, err := kadm.NewClient(f.cl).DeleteTopic(t.Context(), f.prefix+"in-b"); err != nil {
		t.Fatal(err)
	}
	feed, err := b.e.feeds.of(b.e.set.reading)
	if err != nil {
		t.Fatal(err)
	}
	for len(feed.names()) > 1 {
		feed.reader.refresh(t.Context())
	}
	late := b.subscribe(auto(), "earliest")
	f.put("in-a", "5")
	if text := sortedContents(late.take(3)); text != "1 2 5" {
		t.Fatalf("got %s", text)
	}
	if late.sub.(*subscription).cur.lease != nil {
		t.Error("it is not at the live end")
	}
}

func fakeField(t *testing.T) *field {
	return &field{newSite(t, cluster(t, 1).ListenAddrs(), "", 2), ""}
}

func TestPattern(t *testing.T)              { testPattern(t, fakeField(t)) }
func TestPattern_Member(t *testing.T)       { testPatternMember(t, fakeField(t)) }
func TestPattern_TopicDeleted(t *testing.T) { testPatternTopicDeleted(t, fakeField(t)) }

func TestPattern_RefusesNoneAndTooMany(t *testing.T) {
	f := fakeField(t)
	strict := f.reads(`,"checkTopicExistence":true`)
	_, err := strict.trySubscribe(auto(), "")
	if fail := failureOf(t, err); fail.Status != statusInvalid || !strings.Contains(fail.Message, "no topic matches (in|new)-.*") {
		t.Fatal(fail)
	}
	var names []string
	for i := range mostTopics + 1 {
		names = append(names, fmt.Sprintf("in-%03d", i))
	}
	many := &field{newSite(t, cluster(t, 1, names...).ListenAddrs(), "", 1), ""}
	_, err = many.reads("").trySubscribe(auto(), "")
	if fail := failureOf(t, err); fail.Status != statusInvalid || !strings.Contains(fail.Message, "matches 513 topics") {
		t.Fatal(fail)
	}
}

// TestPattern_TooManyLater holds that what is read is read on when the bound is passed later, and that it is counted.
func TestPattern_TooManyLater(t *testing.T) {
	var names []string
	for i := range mostTopics - 1 {
		names = append(names, fmt.Sprintf("new-%03d", i))
	}
	f := &field{newSite(t, cluster(t, 1, names...).ListenAddrs(), "", 1), ""}
	b := f.reads("")
	s := b.subscribe(auto(), "")
	f.create("in-a", "in-b", "in-c") // before the others by name
	feed, err := b.e.feeds.of(b.e.set.reading)
	if err != nil {
		t.Fatal(err)
	}
	for b.e.stats.leftOut.Load() != 2 {
		feed.reader.refresh(t.Context())
	}
	if err := f.cl.ProduceSync(t.Context(), &kgo.Record{Topic: names[len(names)-1], Value: []byte("last")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if text := sortedContents(s.take(1)); text != "last" {
		t.Errorf("got %s", text)
	}
	s.sub.Close(t.Context())
	b.stop()
	if n := b.e.stats.leftOut.Load(); n != 0 {
		t.Errorf("%d topics are left out of nothing", n)
	}
}

func TestAttributes_SayWhatIsRead(t *testing.T) {
	f := fakeField(t)
	f.create("in-a", "out-a")
	b := f.reads(`,"autoOffsetReset":"earliest"`)
	f.put("in-a", "\x00\x00\x00\x00\x01in")
	f.put("out-a", "out")
	const at = "gravitee.attributes.endpoint.kafka.consumer."
	for _, tc := range []struct {
		name, value   string
		want, refused string
	}{
		{name: at + "topicPattern", value: "out-.", want: "out plain:false"},
		{name: at + "topics.pattern", value: "out-.", want: "out plain:false"},
		{name: at + "topics", value: "out-a", want: "out plain:false"},
		{name: at + "removeConfluentHeader", value: "true", want: "in plain:false"},
		{name: at + "encodeMessageId", value: "false", want: "\x00\x00\x00\x00\x01in plain:true"},
		{name: at + "topicPattern", value: "(?!a)", refused: "look-around"},
		{name: at + "encodeMessageId", value: "perhaps", refused: "neither true nor false"},
		{name: at + "autoOffsetReset", value: "newest", refused: "not one of latest"},
		{name: "gravitee.attributes.endpoint.kafka.security.protocol", value: "SSL", refused: "cannot vary"},
	} {
		t.Run(tc.name+"="+tc.value, func(t *testing.T) {
			x := auto()
			x.SetAttribute(tc.name, tc.value)
			c, err := b.trySubscribe(x, "")
			if tc.refused != "" {
				if fail := failureOf(t, err); fail.Status != statusInvalid || !strings.Contains(fail.Message, tc.refused) {
					t.Fatal(fail)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.sub.Close(t.Context())
			m := c.take(1)[0]
			if got := fmt.Sprintf("%s plain:%t", m.Content, strings.Contains(string(m.ID), "@")); got != tc.want {
				t.Errorf("got %q", got)
			}
		})
	}
	x := auto()
	x.SetAttribute(at+"checkTopicExistence", true)
	x.SetAttribute(at+"topicPattern", "absent.*")
	_, err := b.trySubscribe(x, "")
	if fail := failureOf(t, err); !strings.Contains(fail.Message, "no topic matches") {
		t.Error(fail)
	}
}

// TestAttributes_SayHowIsCompressed looks at what the broker has.
func TestAttributes_SayHowIsCompressed(t *testing.T) {
	const name = "gravitee.attributes.endpoint.kafka.producer.compressionType"
	b := newBed(t, cluster(t, 1, "orders"), `{"bootstrapServers":"$B","topics":["orders"],"producer":{"compressionType":"lz4"}}`, connectors.Limits{})
	send := func(x *exchange.Exchange, attributes map[string]any) []error {
		a := newAcks()
		m := message.Get()
		m.SetContent([]byte(strings.Repeat("compress me ", 100)))
		m.Attributes = attributes
		m.SetAck(a)
		b.e.Publish(t.Context(), x, m)
		return a.wait(t, 1)
	}
	x := auto()
	x.SetAttribute(name, "zstd")
	for _, err := range [][]error{send(auto(), nil), send(x, nil), send(x, map[string]any{name: "gzip"}), send(auto(), map[string]any{name: "lz4"})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if errs := send(auto(), map[string]any{name: "brotli"}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "brotli") {
		t.Fatal(errs)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		"orders": {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var got []uint8
	for len(got) < 4 {
		for _, r := range cl.PollFetches(t.Context()).Records() {
			got = append(got, r.Attrs.CompressionType())
		}
	}
	if want := []uint8{3, 4, 1, 3}; !slices.Equal(got, want) { // the numbers of Kafka's record batches
		t.Errorf("codecs %v, want %v", got, want)
	}
}
