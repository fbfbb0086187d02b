package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files")

const cluster = "cluster-1"

func testKey(fill byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{fill}, ed25519.SeedSize))
}

func testSigner(t testing.TB, cluster string, fill byte) *Signer {
	t.Helper()
	s, err := NewSigner(cluster, testKey(fill))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testVerifier(t testing.TB) *Verifier {
	t.Helper()
	v, err := NewVerifier(cluster, testKey(1).Public().(ed25519.PublicKey), testKey(2).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// samples are one of each message, with every field set.
func samples() map[string]proto.Message {
	digest := bytes.Repeat([]byte{7}, DigestSize)
	id := bytes.Repeat([]byte{9}, TransferBytes)
	at := At{Epoch: 1, Revision: 42}.Position()
	chunk := &Chunk{V: Version, Transfer: id, Index: 3, Size: 5, Body: []byte("zstd!"), Gone: true}
	return map[string]proto.Message{
		"record-changed": &Record{Piece: &Record_Changed{Changed: &Deployment{
			ApiId: "orders", Revision: 42, Tags: []string{"eu"}, Definition: []byte(`{"name":"orders"}`)}}},
		"record-removed": &Record{Piece: &Record_Removed{Removed: "orders"}},
		"record-moved":   &Record{Piece: &Record_Moved{Moved: &Moved{ApiId: "orders", Revision: 42, Tags: []string{"us"}}}},
		"record-entry":   &Record{Piece: &Record_Entry{Entry: &Entry{ApiId: "orders", Revision: 42, DefinitionDigest: digest}}},
		"push": &Push{V: Version, Prev: At{Epoch: 1, Revision: 41}.Position(), Position: at, Term: 3, Digest: digest,
			Oversize: true, Size: 5, Body: []byte("zstd!")},
		"heartbeat": &Heartbeat{V: Version, Position: at, Term: 3, Digest: digest, Node: "node-1", IntervalMs: 1000, Apis: 2},
		"ask": &Ask{V: Version, Worker: "worker-1", Have: at, Digest: digest, AtLeast: at,
			Mode: AskMode_ASK_MODE_MANIFEST, Want: []string{"orders"}, Nonce: id},
		"answer": &Answer{V: Version, Nonce: id, Kind: AnswerKind_ANSWER_KIND_DELTA, Position: at, Digest: digest,
			Prev: at, Latest: at, Node: "node-1", Transfer: id, Chunks: 2, Size: 300_000, Records: 9,
			First: chunk, RetryMs: 50},
		"chunk-ask": &ChunkAsk{V: Version, Worker: "worker-1", Transfer: id, Index: 3},
		"chunk":     chunk,
		"status": &Status{V: Version, Worker: "worker-1", Incarnation: 11, Seq: 12, Tags: []string{"eu", "!beta"},
			PeriodMs: 1000, Ready: true, Leaving: true, FailingTotal: 1, ServingTotal: 8, Connections: 77, Version: "v0.1.0",
			Streams: []*StreamStatus{{Stream: "eu", Applied: at, Digest: digest, Apis: 9, Fault: "no answer", Refused: 2,
				LastRefusal: "bad signature"}},
			Failing: []*APIStatus{{ApiId: "orders", Revision: 42, Serving: 40, State: APIState_API_STATE_FAILED, Error: "no broker"}},
			Subscriptions: []*SubscriptionStatus{{SubscriptionId: "s1", Revision: 41, State: SubscriptionState_SUBSCRIPTION_STATE_FAILED,
				Cause: "401", SinceMs: 1795305600000, Lag: proto.Uint64(12)}},
			SubscriptionsTotal: 3, Replays: []*ReplayStatus{{SubscriptionId: "s1", ReplayId: "r1", Error: "no topic"}}},
		"attempts-ask": &AttemptsAsk{V: Version, SubscriptionId: "s1", Limit: 20},
		"attempts": &AttemptsAnswer{V: Version, Worker: "worker-1", SubscriptionId: "s1", Attempts: []*Attempt{{
			AtMs: 1795305600000, TookUs: 1500, Message: "orders@0#7", Number: 2, Status: 503, Error: "unavailable",
			NextMs: 1795305605000, Outcome: "retried", Messages: 1, Bytes: 300}}},
	}
}

// TestMessages_Golden pins the form of each message, as JSON and as bytes: what a worker of another version sees.
func TestMessages_Golden(t *testing.T) {
	for name, m := range samples() {
		t.Run(name, func(t *testing.T) {
			raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			var buf bytes.Buffer
			if err := json.Indent(&buf, raw, "", "  "); err != nil { // protojson varies its spaces on purpose
				t.Fatal(err)
			}
			var normal any
			if err := json.Unmarshal(buf.Bytes(), &normal); err != nil {
				t.Fatal(err)
			}
			text, _ := json.MarshalIndent(normal, "", "  ")
			bin, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, append(text, "\n\n"+base64.StdEncoding.EncodeToString(bin)+"\n"...))
		})
	}
}

func TestSigner_Golden(t *testing.T) {
	b, err := testSigner(t, cluster, 1).Seal(KindPush, "eu", &Push{V: Version, Digest: make([]byte, DigestSize)})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "signed", []byte(base64.StdEncoding.EncodeToString(b)+"\n"))
}

func TestDigest_Golden(t *testing.T) {
	one := HashEntry("orders", 42, HashDefinition([]byte("{}")))
	two := HashEntry("payments", 43, HashDefinition([]byte("{}")))
	golden(t, "digest", []byte(one.String()+"\n"+one.Add(two).String()+"\n"))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", t.Name(), name+".golden")
	if i := bytes.IndexByte([]byte(t.Name()), '/'); i > 0 {
		path = filepath.Join("testdata", t.Name()[:i], name+".golden")
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Fatalf("the wire form changed (-was +is):\n%s", d)
	}
}

func TestSubjects(t *testing.T) {
	eu, err := StreamOf("eu west.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, got, want string }{
		{"revision", RevisionSubject(Everything), "sluice.v1._all.rev"},
		{"heartbeat", HeartbeatSubject(eu), "sluice.v1.eu_20west_2E1.hb"},
		{"ask", AskSubject(eu, "w>1"), "sluice.v1.eu_20west_2E1.ask.w_3E1"},
		{"ask pattern", AskPattern(), "sluice.v1.*.ask.*"},
		{"chunk", ChunkSubject("eu", "node.1", "w"), "sluice.v1.eu.chunk.node_2E1.w"},
		{"chunk pattern", ChunkPattern("node.1"), "sluice.v1.*.chunk.node_2E1.*"},
		{"status", StatusSubject("w*"), "sluice.v1._worker.status.w_2A"},
		{"inbox", InboxPrefix("w.1"), "_INBOX.w_2E1"},
		{"subscriptions", RevisionSubject(eu.Of(ItemSubscription)), "sluice.v1._sub-eu_20west_2E1.rev"},
		{"all subscriptions", HeartbeatSubject(Everything.Of(ItemSubscription)), "sluice.v1._sub-_all.hb"},
		{"request", RequestOfReply(ReplySubject("w.1", "node.1", "r")), "r"},
		{"attempts", AttemptsSubject("w>1"), "sluice.v1._worker.attempts.w_3E1"},
		{"reply", ReplySubject("w.1", "node.1", "r"), "sluice.v1._worker.reply.w_2E1.node_2E1.r"},
		{"rates", RatesSubject("w.1"), "sluice.v1._worker.rates.w_2E1"},
		{"rates to one", RatesToSubject("w>1", "w.2"), "sluice.v1._worker.rates-to.w_3E1.w_2E2"},
		{"rates to one pattern", RatesToPattern("w.1"), "sluice.v1._worker.rates-to.w_2E1.*"},
		{"rates ask", RatesAskSubject("w*"), "sluice.v1._worker.rates-ask.w_2A"},
		{"reply pattern", ReplyPattern("node.1"), "sluice.v1._worker.reply.*.node_2E1.*"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	for _, reserved := range []string{"_all", "_worker", "_sub-_all", "_sub-eu"} {
		if s, _ := StreamOf(reserved); string(s) == reserved {
			t.Errorf("a tag can take the reserved token %s", reserved)
		}
	}
	for _, bad := range []string{"", string(make([]byte, maxTagBytes+1))} {
		if _, err := StreamOf(bad); !errors.Is(err, ErrTag) {
			t.Errorf("tag of %d bytes: %v", len(bad), err)
		}
	}
	if IsInbox("sluice.v1._all.rev", "w") || IsInbox("_INBOX.w2.x", "w") || !IsInbox("_INBOX.w.x", "w") {
		t.Error("IsInbox takes what is not the worker's inbox for it")
	}
	if IsReply(StatusSubject("w"), "w") || IsReply(ReplySubject("w2", "n", "r"), "w") || !IsReply(ReplySubject("w", "n", "r"), "w") {
		t.Error("IsReply takes what is not the worker's for it")
	}
	for _, tag := range []string{"eu", "_sub-eu", "_all"} {
		s, err := StreamOf(tag)
		if err != nil || s.Item() != ItemAPI || s.Of(ItemSubscription).Item() != ItemSubscription || s.Of(ItemAPI) != s {
			t.Errorf("the streams of %q are not told apart", tag)
		}
	}
}

func TestToken_OneToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if (a == b) != (token(a) == token(b)) {
			t.Fatalf("%q and %q: %q and %q", a, b, token(a), token(b))
		}
		if bytes.ContainsAny([]byte(token(a)), ".*> \t\r\n") {
			t.Fatalf("%q is no token", token(a))
		}
	})
}

func TestClaim_ReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, -1, maxNodeBytes)
		c := Claim{Worker: name.Draw(t, "worker"), Tags: rapid.SliceOfN(rapid.StringN(1, -1, maxTagBytes), 0, 3).Draw(t, "tags")}
		got, err := ParseClaim(c.String())
		if err != nil || got.Worker != c.Worker || !slices.Equal(got.Tags, c.Tags) {
			t.Fatalf("%+v reads back as %+v: %v", c, got, err)
		}
	})
	for _, bad := range []string{
		"", "worker-1", claimPrefix, claimPrefix + "/", claimPrefix + "w", claimPrefix + "w/a,", claimPrefix + "w/*",
		claimPrefix + "w_/", claimPrefix + "w_6A/", claimPrefix + "w/_all", claimPrefix + "w/a.b",
	} {
		if c, err := ParseClaim(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, c)
		}
	}
}

func TestSelector(t *testing.T) {
	for _, c := range []struct {
		name    string
		worker  []string
		api     []string
		want    bool
		streams []Stream
	}{
		{"no tags serve everything", nil, []string{"eu"}, true, []Stream{Everything}},
		{"no tags serve the untagged", nil, nil, true, []Stream{Everything}},
		{"one in common", []string{"us", "eu"}, []string{"eu", "x"}, true, []Stream{"eu", "us"}},
		{"none in common", []string{"us"}, []string{"eu"}, false, []Stream{"us"}},
		{"untagged API, tagged worker", []string{"us"}, nil, false, []Stream{"us"}},
		{"excluded", []string{"!beta"}, []string{"beta"}, false, []Stream{Everything}},
		{"not excluded", []string{"!beta"}, nil, true, []Stream{Everything}},
		{"exclusion wins", []string{"eu", "!beta"}, []string{"eu", "beta"}, false, []Stream{"eu"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ParseSelector(c.worker)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Match(c.api); got != c.want {
				t.Errorf("match %v", got)
			}
			if d := cmp.Diff(c.streams, s.streams(ItemAPI)); d != "" {
				t.Error(d)
			}
			again, err := ParseSelector(s.Tags())
			if err != nil || again.Match(c.api) != c.want {
				t.Errorf("tags do not read back: %v", err)
			}
		})
	}
	if _, err := ParseSelector(slices.Repeat([]string{"a"}, maxWorkerTags+1)); !errors.Is(err, ErrTooManyTags) {
		t.Error(err)
	}
}

func TestDigest_OrderDoesNotMatterAndRemovalUndoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,8}`), 1, 20).Draw(t, "ids")
		hashes := make([]Digest, len(ids))
		var forward, backward Digest
		for i, id := range ids {
			hashes[i] = HashEntry(id, uint64(i), HashDefinition([]byte(id)))
			forward = forward.Add(hashes[i])
		}
		for _, h := range slices.Backward(hashes) {
			backward = backward.Add(h)
		}
		if forward != backward {
			t.Fatal("order matters")
		}
		if got := forward.Sub(hashes[0]).Add(hashes[0]); got != forward {
			t.Fatal("removing and adding again differs")
		}
		if forward.Add(hashes[0]) == forward {
			t.Fatal("a member counted twice is not noticed")
		}
	})
}

func TestVerifier_RefusesWhatIsNotMeantForIt(t *testing.T) {
	push := &Push{V: Version, Digest: make([]byte, DigestSize)}
	seal := func(s *Signer, kind Kind, stream Stream, m proto.Message) []byte {
		b, err := s.Seal(kind, stream, m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := seal(testSigner(t, cluster, 1), KindPush, "eu", push)
	altered := slices.Clone(good)
	altered[len(altered)-1] ^= 1 // the signature comes last
	payload := slices.Clone(good)
	payload[16] ^= 1
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"good", good, nil},
		{"second trusted key", seal(testSigner(t, cluster, 2), KindPush, "eu", push), nil},
		{"another key", seal(testSigner(t, cluster, 3), KindPush, "eu", push), ErrUnknownKey},
		{"another cluster", seal(testSigner(t, "other", 1), KindPush, "eu", push), ErrSignature},
		{"another stream", seal(testSigner(t, cluster, 1), KindPush, "us", push), ErrSignature},
		{"another kind", seal(testSigner(t, cluster, 1), KindHeartbeat, "eu", push), ErrSignature},
		{"altered signature", altered, ErrSignature},
		{"altered payload", payload, ErrSignature},
		{"too long", make([]byte, MaxEnvelopeBytes+1), ErrTooLarge},
		{"empty", nil, ErrMalformed},
		{"later version", seal(testSigner(t, cluster, 1), KindPush, "eu", &Push{V: Version + 1, Digest: make([]byte, DigestSize)}), ErrVersion},
		{"short digest", seal(testSigner(t, cluster, 1), KindPush, "eu", &Push{V: Version, Digest: []byte{1}}), ErrMalformed},
		{"size over the limit", seal(testSigner(t, cluster, 1), KindPush, "eu",
			&Push{V: Version, Digest: make([]byte, DigestSize), Size: ChunkBytes + 1, Body: []byte{1}}), ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := testVerifier(t).OpenPush("eu", c.data); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestRecords_AnySplit(t *testing.T) {
	want := []*Record{
		{Piece: &Record_Changed{Changed: &Deployment{ApiId: "big", Revision: 1, Definition: bytes.Repeat([]byte("x"), 300)}}},
		{Piece: &Record_Removed{Removed: "gone"}},
		{Piece: &Record_Changed{Changed: &Deployment{ApiId: "small", Revision: 2}}},
	}
	var body []byte
	for _, r := range want {
		var err error
		if body, err = AppendRecord(body, r); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var (
			recs Records
			got  []*Record
		)
		for rest := body; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			if err := recs.Read(rest[:n], func(r *Record) error { got = append(got, r); return nil }); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := recs.Close(); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
			t.Fatal(d)
		}
	})
	var cut Records
	if err := errors.Join(cut.Read(body[:len(body)-1], func(*Record) error { return nil }), cut.Close()); !errors.Is(err, ErrTruncated) {
		t.Fatal(err)
	}
}

func TestDecode_Limits(t *testing.T) {
	nonce := make([]byte, NonceBytes)
	want := slices.Repeat([]string{"a"}, MaxWant+1)
	failing := make([]*APIStatus, MaxFailing+1)
	for i := range failing {
		failing[i] = &APIStatus{ApiId: "a"}
	}
	for _, c := range []struct {
		name   string
		decode func() error
		want   error
	}{
		{"too many wants", func() error { return askErr(&Ask{V: 1, Worker: "w", Nonce: nonce, Want: want}) }, ErrTooLarge},
		{"too many fields", func() error { return askErr(&Ask{V: 1, Worker: "w", Nonce: nonce, Want: slices.Repeat(want, 3)}) }, ErrTooLarge},
		{"no nonce", func() error { return askErr(&Ask{V: 1, Worker: "w"}) }, ErrMalformed},
		{"no worker", func() error { return askErr(&Ask{V: 1, Nonce: nonce}) }, ErrName},
		{"too many failing", func() error {
			b, _ := Encode(&Status{V: 1, Worker: "w", Failing: failing})
			_, err := DecodeStatus(StatusSubject("w"), b)
			return err
		}, ErrTooLarge},
		{"too many subscriptions", func() error {
			b, _ := Encode(&Status{V: 1, Worker: "w", Subscriptions: slices.Repeat([]*SubscriptionStatus{{SubscriptionId: "s"}}, MaxFailing+1)})
			_, err := DecodeStatus(StatusSubject("w"), b)
			return err
		}, ErrTooLarge},
		{"cause too long", func() error {
			b, _ := Encode(&Status{V: 1, Worker: "w", Subscriptions: []*SubscriptionStatus{{SubscriptionId: "s", Cause: string(make([]byte, MaxErrorBytes+1))}}})
			_, err := DecodeStatus(StatusSubject("w"), b)
			return err
		}, ErrTooLarge},
		{"replay of nothing", func() error {
			b, _ := Encode(&Status{V: 1, Worker: "w", Replays: []*ReplayStatus{{SubscriptionId: "s"}}})
			_, err := DecodeStatus(StatusSubject("w"), b)
			return err
		}, ErrMalformed},
		{"too many attempts", func() error {
			b, _ := Encode(&AttemptsAnswer{V: 1, Worker: "w", SubscriptionId: "s", Attempts: slices.Repeat([]*Attempt{{}}, MaxAttempts+1)})
			_, err := DecodeAttemptsAnswer(ReplySubject("w", "n", "r"), "n", "r", b)
			return err
		}, ErrTooLarge},
		{"another's attempts", func() error {
			b, _ := Encode(&AttemptsAnswer{V: 1, Worker: "w", SubscriptionId: "s"})
			_, err := DecodeAttemptsAnswer(ReplySubject("x", "n", "r"), "n", "r", b)
			return err
		}, ErrMalformed},
		{"attempts of nothing", func() error { _, err := DecodeAttemptsAsk([]byte{8, 1}); return err }, ErrMalformed},
		{"another's status", func() error {
			b, _ := Encode(&Status{V: 1, Worker: "w"})
			_, err := DecodeStatus(StatusSubject("x"), b)
			return err
		}, ErrMalformed},
		{"bomb", func() error {
			codec, _ := NewCodec()
			_, err := codec.Decompress(codec.Compress(make([]byte, 8<<20)), ChunkBytes)
			return err
		}, ErrMalformed},
		{"definition", func() error {
			return CheckDeployment(&Deployment{ApiId: "a", Definition: make([]byte, MaxDefinitionBytes+1)})
		}, ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.decode(); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func askErr(a *Ask) error {
	b, err := Encode(a)
	if err != nil {
		return err
	}
	_, err = DecodeAsk(b)
	return err
}

func TestRates_Decode(t *testing.T) {
	t.Parallel()
	key := make([]byte, RateKeyBytes)
	for _, c := range []struct {
		name string
		m    *RateCounts
		want error
	}{
		{"well", &RateCounts{V: Version, Origin: 1, Counts: []*RateCount{{Key: key}}}, nil},
		{"of nobody", &RateCounts{V: Version}, ErrMalformed},
		{"a short key", &RateCounts{V: Version, Origin: 1, Counts: []*RateCount{{Key: key[1:]}}}, ErrMalformed},
		{"a later version", &RateCounts{V: Version + 1, Origin: 1}, ErrVersion},
		{"too many", &RateCounts{V: Version, Origin: 1, Counts: make([]*RateCount, MaxRateCounts+1)}, ErrTooLarge},
	} {
		for i, n := range c.m.Counts {
			if n == nil {
				c.m.Counts[i] = &RateCount{Key: key}
			}
		}
		data, err := proto.Marshal(c.m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeRateCounts(data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	data, err := proto.Marshal(&RateAsk{V: Version, Worker: "w1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeRateAsk(RatesAskSubject("w1"), data); err != nil {
		t.Error(err)
	}
	if _, err := DecodeRateAsk(RatesAskSubject("w2"), data); !errors.Is(err, ErrMalformed) {
		t.Errorf("asked as another worker: %v", err)
	}
}
