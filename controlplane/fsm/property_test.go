package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/proto/command"
)

// drawChange draws a change over few ids, so that changes meet one another.
func drawChange(t *rapid.T, s *State) any {
	id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "api")
	plan := rapid.SampledFrom([]string{"p", "q"}).Draw(t, "plan")
	status := command.PlanStatus(rapid.IntRange(0, 4).Draw(t, "status"))
	var version uint64
	if a := s.API(id); a != nil && rapid.Bool().Draw(t, "expect") {
		version = a.Version
	}
	switch rapid.IntRange(0, 12).Draw(t, "kind") {
	case 0, 1:
		p := create(id, rapid.SampledFrom([]string{"/", "/x/", "/x/y/", "/z/"}).Draw(t, "path"))
		p.Create = rapid.Bool().Draw(t, "create")
		p.ExpectVersion = version
		p.LifecycleState = rapid.SampledFrom([]string{"", "", LifecyclePublished, LifecycleUnpublished, LifecycleDeprecated}).Draw(t, "lifecycle")
		if rapid.Bool().Draw(t, "plans") {
			p.Plans = []*command.Plan{keylessPlan(plan, status)}
			p.CloseOtherPlans = rapid.Bool().Draw(t, "close others")
		}
		return p
	case 2:
		return &command.DeleteApi{ApiId: id, ExpectVersion: version, ClosePlans: rapid.Bool().Draw(t, "close")}
	case 3:
		return &command.PutPlan{ApiId: id, Create: rapid.Bool().Draw(t, "create"), Plan: keylessPlan(plan, status)}
	case 4:
		return &command.MovePlan{ApiId: id, PlanId: plan, To: status}
	case 5:
		return &command.DeletePlan{ApiId: id, PlanId: plan}
	case 6:
		d := &command.Deploy{ApiId: id, ExpectVersion: version, Definition: []byte("deployed " + id)}
		if rapid.Bool().Draw(t, "slots") {
			d.Slots = []*command.Slot{{GroupId: plan, Offset: rapid.Uint64Range(0, 12).Draw(t, "offset"), Length: 1}}
		}
		return d
	case 9:
		g := group(plan, rapid.SampledFrom([]string{"[]", "[1]", "[22]"}).Draw(t, "steps"))
		g.Create = rapid.Bool().Draw(t, "create")
		return g
	case 10:
		return &command.DeployGroup{GroupId: plan}
	case 11:
		return &command.UndeployGroup{GroupId: plan}
	case 12:
		return &command.DeleteGroup{GroupId: plan}
	default:
		return &command.SetState{ApiId: id, ExpectVersion: version, To: command.ApiState(rapid.IntRange(0, 2).Draw(t, "to")), Definition: []byte("started " + id)}
	}
}

// model is what the API records must agree with, kept as simply as can be: who exists, who is started, who was deployed.
type model struct {
	started, deployed map[string]bool
}

// accept takes a successful change into the model.
func (m *model) accept(change any) {
	switch ch := change.(type) {
	case *command.PutApi:
		if ch.GetCreate() {
			m.started[ch.GetApiId()], m.deployed[ch.GetApiId()] = false, false
		}
	case *command.DeleteApi:
		delete(m.started, ch.GetApiId())
		delete(m.deployed, ch.GetApiId())
	case *command.Deploy:
		m.deployed[ch.GetApiId()] = true
	case *command.SetState:
		m.started[ch.GetApiId()] = ch.GetTo() == command.ApiState_API_STATE_STARTED
		if m.started[ch.GetApiId()] {
			m.deployed[ch.GetApiId()] = true
		}
	}
}

// check compares a state with the model and with the rules that hold whatever was done.
func (m *model) check(t *rapid.T, s *State) {
	if s.Len() != len(m.started) {
		t.Fatalf("%d APIs, the model has %d", s.Len(), len(m.started))
	}
	var claims []string
	for a := range s.APIs {
		if started, known := m.started[a.ID]; !known || started != a.Started || m.deployed[a.ID] != (a.Deployed != nil) {
			t.Fatalf("API %s: started %t, deployed %t; the model has %v", a.ID, a.Started, a.Deployed != nil, m)
		}
		if a.Started && a.Deployed == nil {
			t.Fatalf("API %s is started and was never deployed", a.ID)
		}
		if e := a.checkPlans(); e != nil {
			t.Fatal(e)
		}
		if !slices.IsSortedFunc(a.Plans, func(x, y *Plan) int { return int(x.Order - y.Order) }) {
			t.Fatalf("plans of %s are out of order", a.ID)
		}
		for _, c := range a.Claims {
			claims = append(claims, c.Path)
			if owner, _ := s.claims.Get(c.key(a)); owner != a.ID {
				t.Fatalf("claim %s of %s is held by %q", c.Path, a.ID, owner)
			}
		}
	}
	if s.claims.Len() != len(claims) {
		t.Fatalf("%d claims are held for %d", s.claims.Len(), len(claims))
	}
	for i, x := range claims {
		for j, y := range claims {
			if i != j && x == y {
				t.Fatalf("claims %s and %s collide", x, y)
			}
		}
	}
}

func TestFSM_SameLogSameState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		one, two, restored := New(), New(), New()
		m := &model{started: map[string]bool{}, deployed: map[string]bool{}}
		n := rapid.IntRange(1, 60).Draw(t, "entries")
		applied := "" // a request id that the state machines know
		cut := rapid.IntRange(0, n-1).Draw(t, "snapshot after")
		for i := range n {
			change := drawChange(t, one.State())
			c := entry(change)
			c.RequestId, c.AtMs, c.Actor = fmt.Sprint(i), int64(rapid.IntRange(0, 1000).Draw(t, "at")), "rapid"
			if applied != "" && rapid.IntRange(0, 9).Draw(t, "retry") == 0 {
				c.RequestId, change = applied, nil
			}
			b, err := command.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 19).Draw(t, "garbage") == 0 {
				b, change = b[:len(b)/2], nil
				b[0] = 0xff // no protobuf begins so
			} else {
				applied = c.GetRequestId()
			}
			index := uint64(10 + i)
			r1, r2 := one.Apply(index, b), two.Apply(index, slices.Clone(b))
			if r1.String() != r2.String() {
				t.Fatalf("results differ: %v and %v", r1, r2)
			}
			if i > cut {
				restored.Apply(index, b)
			}
			if r1.GetError() == nil && change != nil {
				m.accept(change)
			}
			m.check(t, one.State())
			if i == cut {
				if err := restored.Restore(bytes.NewReader(whole(t, one))); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !bytes.Equal(whole(t, one), whole(t, two)) {
			t.Fatal("the same log led to different states")
		}
		if !bytes.Equal(whole(t, one), whole(t, restored)) {
			t.Fatal("a snapshot and the log after it led to another state than the log")
		}
	})
}

func whole(t *rapid.T, f *FSM) []byte {
	var b bytes.Buffer
	if err := f.Snapshot().Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
