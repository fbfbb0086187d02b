package fsm

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/proto/command"
)

var update = flag.Bool("update", false, "write the snapshot of this format to testdata; never over an older format's")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sample leads to a state with everything a snapshot can hold.
func sample(t testing.TB) *FSM { return sampleOf(t, command.Format) }

// sampleOf leads to a state with everything a snapshot of the format can hold.
func sampleOf(t testing.TB, format int) *FSM {
	l := newLog(t)
	c := create("orders", "/orders/")
	c.CrossId, c.Tags, c.Visibility, c.LifecycleState = "cross", []string{"eu"}, "PUBLIC", LifecyclePublished
	c.Plans = []*command.Plan{keylessPlan("free", published), {Id: "gold", Key: "GOLD", CrossId: "gold-1", Name: "Gold", Security: "jwt", Definition: []byte(`{"flows":[]}`)}}
	l.must(c)
	l.must(l.deploy("orders"))
	l.must(start("orders"))
	kafka := create("kafka")
	kafka.Claims = []*command.Claim{{Kind: command.Claim_KIND_KAFKA, Host: "orders.kafka.local"}}
	l.must(kafka)
	if format >= 2 {
		sampleSubscriptions(l)
	}
	if format >= 3 {
		sampleGroups(l)
	}
	l.refused(command.Code_CODE_API_EXISTS, create("kafka"))
	l.fsm.Apply(l.index+1, []byte("garbage"))
	return l.fsm
}

func sampleSubscriptions(l *log) {
	l.must(&command.PutPlan{ApiId: "orders", Create: true, Plan: pushPlan("push", published)})
	for _, id := range []string{"s-failed", "s-paused", "s-pending"} {
		p := subscribe(id, "orders", "push")
		p.Accept, p.Application, p.Origin, p.Request = id != "s-pending", id, "KUBERNETES", "please"
		p.Metadata = map[string]string{"team": "a", "area": "b"}
		p.StartingAtMs, p.EndingAtMs = 5, 9_000_000_000_000
		l.must(p)
	}
	l.must(&command.AddReplay{SubscriptionId: "s-failed", ReplayId: "r1", From: "earliest", Until: "@2026-11-22T10:00:00Z"})
	l.must(&command.AssignReplay{SubscriptionId: "s-failed", ReplayId: "r1", Worker: "w"})
	l.must(&command.EndReplay{SubscriptionId: "s-failed", ReplayId: "r1", Worker: "w", Error: "gone"})
	l.must(&command.FailSubscription{SubscriptionId: "s-failed", Revision: l.index, Cause: "401 from https://example.com"})
	l.must(move("s-paused", command.SubscriptionMove_SUBSCRIPTION_MOVE_PAUSE))
	l.must(move("s-paused", command.SubscriptionMove_SUBSCRIPTION_MOVE_STOP))
	r := move("s-pending", command.SubscriptionMove_SUBSCRIPTION_MOVE_REJECT)
	r.Reason = "no"
	l.must(r)
}

// TestRestore_EveryFormat restores a snapshot of every format there ever was, one file each.
func TestRestore_EveryFormat(t *testing.T) {
	t.Parallel()
	var now bytes.Buffer
	if err := sample(t).Snapshot().Write(&now); err != nil {
		t.Fatal(err)
	}
	current := filepath.Join("testdata", "snapshot", fmt.Sprintf("format-%d.bin", command.Format))
	if *update {
		if err := os.WriteFile(current, now.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "snapshot", "format-*.bin"))
	if err != nil || len(files) != command.Format {
		t.Fatalf("%d snapshots for %d formats (%v)", len(files), command.Format, err)
	}
	for i, file := range files {
		now.Reset()
		if err := sampleOf(t, i+1).Snapshot().Write(&now); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f := New()
		if err := f.Restore(bytes.NewReader(b)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var again bytes.Buffer
		if err := f.Snapshot().Write(&again); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Bytes(), now.Bytes()) {
			t.Errorf("%s restores to another state than the commands of its sample lead to", file)
		}
	}
}

func TestRestore_RefusesDamage(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := sample(t).Snapshot().Write(&b); err != nil {
		t.Fatal(err)
	}
	f := sample(t)
	before := f.State()
	for n := range b.Len() { // cut anywhere
		if err := f.Restore(bytes.NewReader(b.Bytes()[:n])); err == nil {
			t.Fatalf("a snapshot cut to %d of %d bytes was restored", n, b.Len())
		}
	}
	if f.State() != before {
		t.Fatal("a refused snapshot changed the state")
	}
}

// FuzzApply feeds entries as a damaged log would.
func FuzzApply(f *testing.F) {
	for _, change := range []any{create("a", "/a/"), start("a"), stop("a"), &command.MovePlan{ApiId: "a", PlanId: "p", To: published}, &command.DeleteApi{ApiId: "a"},
		subscribe("s", "orders", "push"), move("s-paused", command.SubscriptionMove_SUBSCRIPTION_MOVE_START), &command.EndReplay{SubscriptionId: "s-failed", ReplayId: "r1"}} {
		b, err := command.Marshal(entry(change))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		one, two := sample(t), sample(t)
		index := one.State().Index() + 1
		r1, r2 := one.Apply(index, data), two.Apply(index, data)
		if r1.GetIndex() == 0 || r1.String() != r2.String() {
			t.Fatalf("results %v and %v", r1, r2)
		}
		if !bytes.Equal(bytesOf(t, one.State()), bytesOf(t, two.State())) {
			t.Fatal("the same entry led to different states")
		}
	})
}

// FuzzRestore feeds snapshots as a damaged disk or a bad peer would.
func FuzzRestore(f *testing.F) {
	var b bytes.Buffer
	if err := sample(f).Snapshot().Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := New()
		if err := m.Restore(bytes.NewReader(data)); err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := m.Snapshot().Write(&first); err != nil {
			t.Fatal(err)
		}
		n := New()
		if err := n.Restore(bytes.NewReader(first.Bytes())); err != nil {
			t.Fatalf("what was restored does not restore again: %v", err)
		}
		if err := n.Snapshot().Write(&second); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatal("a snapshot is not stable")
		}
	})
}
