package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// admin is a plain client of the bed's cluster.
func (b *bed) admin() *kadm.Client {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

func failureOf(t testing.TB, err error) *message.Failure {
	t.Helper()
	var f *message.Failure
	if !errors.As(err, &f) {
		t.Fatalf("%v is no failure", err)
	}
	return f
}

func TestSubscribe_ResumesFromIDs(t *testing.T) {
	b := newBed(t, cluster(t, 3, "orders"), oneTopicEarliest, connectors.Limits{})
	b.mustPublish(numbers(0, 60)...)
	all := b.subscribe(auto(), "").take(60)
	for _, at := range []int{0, 1, 30, 58} {
		c := b.subscribe(auto(), string(all[at].ID))
		want, got := contents(all[at+1:]), contents(c.take(59-at))
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Fatalf("after %d: got %v, want %v", at, got, want)
		}
		if view, err := c.sub.Poll(1); len(view) > 0 || err != nil {
			t.Fatalf("after %d: also got %v, %v", at, view, err)
		}
	}
}

func TestSubscribe_CursorAfterPartialPoll(t *testing.T) {
	b := newBed(t, cluster(t, 3, "orders"), oneTopicEarliest, connectors.Limits{})
	b.mustPublish(numbers(0, 50)...)
	var got []string
	at := "earliest"
	for range 10 { // pages of 5, as http-get takes them
		c := b.subscribe(auto(), at)
		got = append(got, contents(c.take(5))...)
		at = string(c.sub.AppendCursor(nil))
		c.sub.Close(context.Background())
	}
	slices.Sort(got)
	want := numbers(0, 50)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
}

func TestSubscribe_CursorKinds(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	b.mustPublish(numbers(0, 3)...)
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for _, tc := range []struct{ name, cursor, want string }{
		{"earliest", "earliest", "0 1 2 3"},
		{"latest", "latest", "3"},
		{"nothing, by the start rule", "", "3"},
		{"plain", "orders@0#0", "1 2 3"},
		{"from the first", "orders@0#-1", "0 1 2 3"},
		{"time", "@2000-01-01T00:00:00Z", "0 1 2 3"},
		{"time ahead", "@" + later, "3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
			b.mustPublish(numbers(0, 3)...)
			c := b.subscribe(auto(), tc.cursor)
			b.mustPublish("3")
			n := len(strings.Fields(tc.want))
			if got := strings.Join(contents(c.take(n)), " "); got != tc.want {
				t.Fatalf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestSubscribe_RefusesCursor(t *testing.T) {
	b := newBed(t, cluster(t, 2, "orders"), oneTopic, connectors.Limits{})
	for _, cursor := range []string{"rubbish", "orders@0", "others@0#1", "orders@2#1", "orders@0#-2", "orders@0#1,0#1",
		"@tomorrow", "orders@0#" + strings.Repeat("9", 400)} {
		_, err := b.trySubscribe(auto(), cursor)
		if f := failureOf(t, err); f.Status != 400 || f.Key != message.KeyInvalidCursor {
			t.Errorf("%.40s: %+v", cursor, f)
		}
	}
	if _, err := b.trySubscribe(none(), "rubbish"); err != nil {
		t.Errorf("under none there is no cursor: %v", err)
	}
}

func TestSubscribe_NoneHasNoState(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopicEarliest, connectors.Limits{})
	b.mustPublish("old")
	c := b.subscribe(none(), "")
	b.mustPublish("new")
	got := c.take(1)[0]
	if string(got.Content) != "new" || got.ID != nil || len(c.sub.AppendCursor(nil)) != 0 {
		t.Fatalf("got %+v", got)
	}
}

func TestSubscribe_MetadataHeadersTombstone(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), `{"bootstrapServers":"$B","topics":["orders"],
		"consumer":{"encodeMessageId":false,"removeConfluentHeader":true}}`, connectors.Limits{})
	c := b.subscribe(auto(), "")
	a := newAcks()
	m := message.Get()
	m.Headers = append(m.Headers, message.Header{Name: "h", Value: []byte("1")}, message.Header{Name: "h", Value: []byte("2")})
	m.Attributes = map[string]any{"gravitee.attribute.kafka.recordKey": "k"}
	m.SetAck(a)
	b.e.Publish(t.Context(), auto(), m)
	a.wait(t, 1)
	b.mustPublish("\x00\x00\x00\x00\x07value")
	got := c.take(2)
	if got[0].Content != nil || len(got[0].Headers) != 2 || string(got[0].Headers[1].Value) != "2" {
		t.Fatalf("tombstone: %+v", got[0])
	}
	if string(got[0].ID) != "orders@0#0" || string(got[1].Content) != "value" {
		t.Fatalf("got %s, %s", got[0].ID, got[1].Content)
	}
	var fields []string
	for _, f := range got[0].Metadata(nil) {
		fields = append(fields, fmt.Sprint(f.Name, "=", f.Text, f.Int))
	}
	if text := strings.Join(fields, " "); !strings.HasPrefix(text, "key=k0 topic=orders0 partition=0 offset=0 sourceTimestamp=") {
		t.Fatalf("metadata %s", text)
	}
}

func TestCheckpoint_ClientComesBackWhereItLeft(t *testing.T) {
	b := newBed(t, cluster(t, 2, "orders"), oneTopic, connectors.Limits{})
	known := func() *exchange.Exchange {
		return &exchange.Exchange{QoS: qos.Auto, ClientIdentifier: "me", ClientSupplied: true}
	}
	c := b.subscribe(known(), "")
	b.mustPublish(numbers(0, 20)...)
	got := c.take(20)
	c.sub.DeliveredThrough(&got[9])
	copied := got[11] // a policy's copy counts as the message
	c.sub.DeliveredThrough(&copied)
	c.sub.Close(t.Context())
	b.mustPublish("20")
	want := append(contents(got[12:]), "20")
	back := contents(b.subscribe(known(), "").take(len(want)))
	slices.Sort(want)
	slices.Sort(back)
	if !slices.Equal(want, back) {
		t.Fatalf("got %v, want %v", back, want)
	}
	stranger := b.subscribe(&exchange.Exchange{QoS: qos.Auto, ClientIdentifier: "made-up"}, "")
	if view, _ := stranger.sub.Poll(1); len(view) > 0 {
		t.Fatalf("a client with a made-up name got %s", view[0].Content)
	}
}

func TestCheckpoint_NeverAboveDelivered(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopicEarliest, connectors.Limits{CheckpointEvery: 20 * time.Millisecond})
	b.mustPublish(numbers(0, 10)...)
	x := &exchange.Exchange{QoS: qos.Auto}
	x.SetAttribute("gravitee.attribute.kafka.groupId", "g")
	c := b.subscribe(x, "")
	got := c.take(10)
	c.sub.DeliveredThrough(&got[3])
	adm := b.admin()
	deadline := time.Now().Add(10 * time.Second)
	for {
		found, err := adm.FetchOffsets(t.Context(), "g")
		o, ok := found.Lookup("orders", 0)
		if err == nil && ok && o.At == 4 {
			return
		}
		if ok && o.At > 4 || time.Now().After(deadline) {
			t.Fatalf("committed %+v, %v", o, err)
		}
	}
}

func TestStart_ResetNoneRefusesUnknownClients(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), `{"bootstrapServers":"$B","topics":["orders"],"consumer":{"autoOffsetReset":"none"}}`,
		connectors.Limits{})
	_, err := b.trySubscribe(auto(), "")
	if f := failureOf(t, err); f.Key != message.KeyConfigurationInvalid {
		t.Fatalf("%+v", f)
	}
	if _, err := b.trySubscribe(auto(), "earliest"); err != nil {
		t.Fatal(err)
	}
}

func TestGap_CursorBelowLogStart(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	b.mustPublish(numbers(0, 10)...)
	to := kadm.Offsets{}
	to.AddOffset("orders", 0, 6, -1)
	if _, err := b.admin().DeleteRecords(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	got := b.subscribe(auto(), "orders@0#1").take(5)
	var g gap
	if err := json.Unmarshal(got[0].Content, &g); err != nil || got[0].Kind != message.Gap {
		t.Fatalf("got %+v, %v", got[0], err)
	}
	if g.Lost != 4 || g.Reason != reasonRetention || string(got[1].Content) != "6" {
		t.Fatalf("gap %s, then %s", got[0].Content, got[1].Content)
	}
}

func TestGap_CursorBeyondLogEnd(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	b.mustPublish(numbers(0, 3)...)
	got := b.subscribe(auto(), "orders@0#99").take(4)
	if got[0].Kind != message.Gap || !strings.Contains(string(got[0].Content), reasonBeyond) || string(got[1].Content) != "0" {
		t.Fatalf("got %s, %s", got[0].Content, got[1].Content)
	}
}

func TestGap_SlowClientUnderNoneLosesTheOldest(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{RingBytes: 256 << 10})
	slow := b.subscribe(none(), "")
	quick := b.subscribe(none(), "")
	big := strings.Repeat("x", 1000)
	for i := range 20 {
		var batch []string
		for k := range 100 {
			batch = append(batch, fmt.Sprint(i*100+k, " ", big))
		}
		b.mustPublish(batch...)
		quick.take(100)
	}
	first := slow.take(1)[0]
	var g gap
	if first.Kind != message.Gap || json.Unmarshal(first.Content, &g) != nil || g.Reason != reasonSlow {
		t.Fatalf("got %+v", first)
	}
	rest := slow.take(2000 - int(g.Lost))
	if want := fmt.Sprint(g.Lost, " "); !strings.HasPrefix(string(rest[0].Content), want) {
		t.Fatalf("%d lost, then %.20s", g.Lost, rest[0].Content)
	}
}

func TestTopic_MissingIsRefusedOrAwaited(t *testing.T) {
	c := cluster(t, 1, "other")
	strict := newBed(t, c, `{"bootstrapServers":"$B","topics":["orders"],"consumer":{"checkTopicExistence":true}}`, connectors.Limits{})
	_, err := strict.trySubscribe(auto(), "")
	if f := failureOf(t, err); f.Status != 500 || f.Key != message.KeyConfigurationInvalid || !strings.Contains(f.Message, "orders") {
		t.Fatalf("%+v", f)
	}
	patient := newBed(t, c, oneTopic, connectors.Limits{})
	s := patient.subscribe(auto(), "")
	if _, err := patient.admin().CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	patient.mustPublish("first")
	if got := string(s.take(1)[0].Content); got != "first" {
		t.Fatalf("got %s", got)
	}
}

func TestReader_PicksUpNewPartitions(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	s := b.subscribe(auto(), "")
	if _, err := b.admin().CreatePartitions(t.Context(), 2, "orders"); err != nil {
		t.Fatal(err)
	}
	f, _ := b.e.feeds.of(b.e.set.reading)
	for len(f.reader.lay.Load().places) < 3 { // franz-go's answer may be up to metadataMinAge old
		f.reader.refresh(t.Context()) // in place of half a minute
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for p := range int32(3) {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: p}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int32]bool{}
	var last []byte
	for _, m := range s.take(3) {
		seen[m.Partition] = true
		last = m.ID
	}
	if len(seen) != 3 {
		t.Fatalf("saw partitions %v", seen)
	}
	if _, err := b.trySubscribe(auto(), string(last)); err != nil {
		t.Fatal(err)
	}
}

func TestReader_OneForManyAndNoneForNobody(t *testing.T) {
	b := newBed(t, cluster(t, 1, "orders"), oneTopic, connectors.Limits{})
	var all []*client
	for range 500 {
		all = append(all, b.subscribe(auto(), ""))
	}
	b.mustPublish(numbers(0, 10)...)
	for _, c := range all {
		if got := strings.Join(contents(c.take(10)), ""); got != "0123456789" {
			t.Fatalf("got %s", got)
		}
	}
	if n, leases := b.e.stats.readers.Load(), b.e.stats.leases.Load(); n != 1 || leases != 0 {
		t.Fatalf("%d readers, %d catch-up readers", n, leases)
	}
	for _, c := range all {
		c.sub.Close(context.Background())
	}
	if n := b.e.stats.subscribers.Load(); n != 0 {
		t.Fatalf("%d subscribers", n)
	}
}
