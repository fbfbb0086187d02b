package fsm

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/proto/command"
)

// log applies commands one after the other, at the indexes of a raft log that holds other entries too.
type log struct {
	t     testing.TB
	fsm   *FSM
	index uint64
	now   int64
	ids   int
}

func newLog(t testing.TB) *log { return &log{t: t, fsm: New(), now: 1_700_000_000_000} }

func (l *log) apply(change any) *command.Result {
	l.ids++
	return l.send(entry(change), fmt.Sprintf("request-%d", l.ids))
}

func (l *log) send(c *command.Command, id string) *command.Result {
	l.t.Helper()
	l.now += 10
	l.index += 2
	c.AtMs, c.RequestId, c.Actor = l.now, id, "ada"
	b, err := command.Marshal(c)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.fsm.Apply(l.index, b)
}

// must applies a change that is to succeed.
func (l *log) must(change any) *command.Result {
	l.t.Helper()
	r := l.apply(change)
	if r.GetError() != nil {
		l.t.Fatalf("%T refused: %v", change, r.GetError())
	}
	return r
}

func (l *log) refused(want command.Code, change any) *command.Error {
	l.t.Helper()
	before := bytesOf(l.t, l.fsm.State())
	e := l.apply(change).GetError()
	if e.GetCode() != want {
		l.t.Fatalf("got %v %q, want %v", e.GetCode(), e.GetMessage(), want)
	}
	if !bytes.Equal(before, bytesOf(l.t, l.fsm.State())) {
		l.t.Fatalf("%v changed the state", want)
	}
	return e
}

// bytesOf is a state's APIs as bytes, without what every command moves.
func bytesOf(t testing.TB, s *State) []byte {
	still := *s
	still.index, still.atMS, still.rejected = 0, 0, 0
	var b bytes.Buffer
	if err := (&Snapshot{state: &still}).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func entry(change any) *command.Command {
	switch ch := change.(type) {
	case *command.PutApi:
		return &command.Command{Change: &command.Command_PutApi{PutApi: ch}}
	case *command.DeleteApi:
		return &command.Command{Change: &command.Command_DeleteApi{DeleteApi: ch}}
	case *command.PutPlan:
		return &command.Command{Change: &command.Command_PutPlan{PutPlan: ch}}
	case *command.MovePlan:
		return &command.Command{Change: &command.Command_MovePlan{MovePlan: ch}}
	case *command.DeletePlan:
		return &command.Command{Change: &command.Command_DeletePlan{DeletePlan: ch}}
	case *command.Deploy:
		return &command.Command{Change: &command.Command_Deploy{Deploy: ch}}
	case *command.SetState:
		return &command.Command{Change: &command.Command_SetState{SetState: ch}}
	case *command.PutSubscription:
		return &command.Command{Change: &command.Command_PutSubscription{PutSubscription: ch}}
	case *command.MoveSubscription:
		return &command.Command{Change: &command.Command_MoveSubscription{MoveSubscription: ch}}
	case *command.FailSubscription:
		return &command.Command{Change: &command.Command_FailSubscription{FailSubscription: ch}}
	case *command.AddReplay:
		return &command.Command{Change: &command.Command_AddReplay{AddReplay: ch}}
	case *command.AssignReplay:
		return &command.Command{Change: &command.Command_AssignReplay{AssignReplay: ch}}
	case *command.EndReplay:
		return &command.Command{Change: &command.Command_EndReplay{EndReplay: ch}}
	case *command.PutGroup:
		return &command.Command{Change: &command.Command_PutGroup{PutGroup: ch}}
	case *command.DeployGroup:
		return &command.Command{Change: &command.Command_DeployGroup{DeployGroup: ch}}
	case *command.UndeployGroup:
		return &command.Command{Change: &command.Command_UndeployGroup{UndeployGroup: ch}}
	case *command.DeleteGroup:
		return &command.Command{Change: &command.Command_DeleteGroup{DeleteGroup: ch}}
	}
	return &command.Command{}
}

func create(id string, paths ...string) *command.PutApi {
	p := &command.PutApi{
		ApiId: id, Create: true, Organization: "org", Environment: "env", Name: "API " + id, Type: "message", Definition: []byte(`{"name":"` + id + `"}`),
	}
	for _, path := range paths {
		p.Claims = append(p.Claims, &command.Claim{Kind: command.Claim_KIND_HTTP, Path: path})
	}
	return p
}

func keylessPlan(id string, status command.PlanStatus) *command.Plan {
	return &command.Plan{Id: id, Name: id, Security: keyless, Definition: []byte(`{}`), Status: status}
}

func (l *log) version(id string) uint64 { return l.fsm.State().API(id).Version }

func (l *log) deploy(id string) *command.Deploy {
	return &command.Deploy{ApiId: id, ExpectVersion: l.version(id), Definition: []byte(`{"deployed":"` + id + `"}`)}
}

func start(id string) *command.SetState {
	return &command.SetState{ApiId: id, To: command.ApiState_API_STATE_STARTED}
}

func stop(id string) *command.SetState {
	return &command.SetState{ApiId: id, To: command.ApiState_API_STATE_STOPPED}
}

func serving(s *State) (ids []string) {
	for a := range s.Serving {
		ids = append(ids, a.ID)
	}
	return ids
}

func TestFSM_LifeOfAnAPI(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.must(create("a", "/a/"))
	l.must(&command.PutPlan{ApiId: "a", Create: true, Plan: keylessPlan("p", 0)})
	l.must(&command.MovePlan{ApiId: "a", PlanId: "p", To: published})
	deployed := l.must(l.deploy("a"))
	if got := serving(l.fsm.State()); got != nil || l.fsm.State().Revision() != 0 {
		t.Fatalf("a stopped API is served: %v, revision %d", got, l.fsm.State().Revision())
	}
	started := l.must(start("a"))
	a := l.fsm.State().API("a")
	if !a.Started || a.Deployed.Revision != started.GetRevision() || a.Deployed.Number != 1 || a.Deployed.Actor != "ada" {
		t.Fatalf("started: %+v %+v", a, a.Deployed)
	}
	if started.GetRevision() <= deployed.GetRevision() || l.fsm.State().Revision() != started.GetRevision() {
		t.Fatalf("revision %d after %d", started.GetRevision(), deployed.GetRevision())
	}
	again := l.must(l.deploy("a"))
	if a := l.fsm.State().API("a"); a.Deployed.Number != 2 || a.Deployed.Revision != again.GetIndex() {
		t.Fatalf("redeployed: %+v", a.Deployed)
	}
	stopped := l.must(stop("a"))
	if got := serving(l.fsm.State()); got != nil || l.fsm.State().Revision() != stopped.GetIndex() {
		t.Fatalf("a stopped API is served: %v", got)
	}
	gone := l.must(&command.DeleteApi{ApiId: "a", ClosePlans: true})
	if l.fsm.State().Len() != 0 || gone.GetRevision() != gone.GetIndex() {
		t.Fatalf("deleted: %d APIs, revision %d", l.fsm.State().Len(), gone.GetRevision())
	}
	l.must(create("b", "/a/")) // the path is free again
}

func TestFSM_FirstStartDeploys(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	c := create("a", "/a/")
	c.Plans = []*command.Plan{keylessPlan("p", published)}
	l.must(c)
	l.refused(command.Code_CODE_MALFORMED, start("a"))
	s := start("a")
	s.ExpectVersion, s.Definition = l.version("a"), []byte("whole")
	l.must(s)
	if a := l.fsm.State().API("a"); string(a.Deployed.Definition) != "whole" || a.Deployed.Number != 1 {
		t.Fatalf("deployed %+v", a.Deployed)
	}
}

func TestFSM_Refusals(t *testing.T) {
	t.Parallel()
	api := func(l *log) {
		c := create("a", "/a/")
		c.Plans = []*command.Plan{keylessPlan("open", published), keylessPlan("new", staging)}
		l.must(c)
	}
	move := func(plan string, to command.PlanStatus) *command.MovePlan {
		return &command.MovePlan{ApiId: "a", PlanId: plan, To: to}
	}
	lifecycle := func(to string) *command.PutApi {
		p := create("a", "/a/")
		p.Create, p.LifecycleState = false, to
		return p
	}
	cases := []struct {
		name  string
		setup func(l *log)
		do    any
		want  command.Code
	}{
		{"create twice", api, create("a"), command.Code_CODE_API_EXISTS},
		{"no id", nil, create(""), command.Code_CODE_MALFORMED},
		{"no definition", nil, &command.PutApi{ApiId: "a", Create: true}, command.Code_CODE_MALFORMED},
		{"update unknown", nil, lifecycle(""), command.Code_CODE_API_NOT_FOUND},
		{"update stale", api, &command.PutApi{ApiId: "a", ExpectVersion: 1, Definition: []byte("x"), Type: "message"}, command.Code_CODE_VERSION_MISMATCH},
		{"update to another type", api, &command.PutApi{ApiId: "a", Definition: []byte("x"), Type: "proxy"}, command.Code_CODE_TYPE_CHANGED},
		{"unknown lifecycle state", api, lifecycle("GONE"), command.Code_CODE_LIFECYCLE_INVALID},
		{"deprecated is terminal", func(l *log) { api(l); l.must(lifecycle(LifecycleDeprecated)) }, lifecycle(LifecyclePublished), command.Code_CODE_LIFECYCLE_INVALID},
		{"archived stays", func(l *log) { api(l); l.must(lifecycle(LifecycleArchived)) }, lifecycle(LifecyclePublished), command.Code_CODE_LIFECYCLE_INVALID},
		{"unpublished is not created", func(l *log) { api(l); l.must(lifecycle(LifecycleUnpublished)) }, lifecycle(LifecycleCreated), command.Code_CODE_LIFECYCLE_INVALID},
		{"same path", api, create("b", "/a/"), command.Code_CODE_PATH_CONFLICT},
		{"delete running", func(l *log) {
			api(l)
			l.must(l.deploy("a"))
			l.must(start("a"))
		}, &command.DeleteApi{ApiId: "a", ClosePlans: true}, command.Code_CODE_API_RUNNING},
		{"delete with open plan", api, &command.DeleteApi{ApiId: "a"}, command.Code_CODE_API_NOT_DELETABLE},
		{"delete unknown", nil, &command.DeleteApi{ApiId: "a"}, command.Code_CODE_API_NOT_FOUND},
		{"deploy without plan", func(l *log) { l.must(create("a")) }, &command.Deploy{ApiId: "a", ExpectVersion: 2, Definition: []byte("x")}, command.Code_CODE_API_NOT_DEPLOYABLE},
		{"deploy without version", api, &command.Deploy{ApiId: "a", Definition: []byte("x")}, command.Code_CODE_MALFORMED},
		{"deploy stale", api, &command.Deploy{ApiId: "a", ExpectVersion: 1, Definition: []byte("x")}, command.Code_CODE_VERSION_MISMATCH},
		{"stop stopped", api, stop("a"), command.Code_CODE_API_STATE},
		{"set no state", api, &command.SetState{ApiId: "a"}, command.Code_CODE_MALFORMED},
		{"plan exists", api, &command.PutPlan{ApiId: "a", Create: true, Plan: keylessPlan("open", 0)}, command.Code_CODE_PLAN_EXISTS},
		{"plan unknown", api, &command.PutPlan{ApiId: "a", Plan: keylessPlan("x", 0)}, command.Code_CODE_PLAN_NOT_FOUND},
		{"plan without id", api, &command.PutPlan{ApiId: "a", Create: true, Plan: keylessPlan("", 0)}, command.Code_CODE_PLAN_INVALID},
		{"no plan at all", api, &command.PutPlan{ApiId: "a", Create: true}, command.Code_CODE_PLAN_INVALID},
		{"plan of another security", api, &command.PutPlan{ApiId: "a", Plan: &command.Plan{Id: "open", Security: "jwt"}}, command.Code_CODE_PLAN_INVALID},
		{"move unknown plan", api, move("x", published), command.Code_CODE_PLAN_NOT_FOUND},
		{"publish published", api, move("open", published), command.Code_CODE_PLAN_PUBLISHED},
		{"second keyless", api, move("new", published), command.Code_CODE_PLAN_KEYLESS_EXISTS},
		{"deprecate staging", api, move("new", deprecated), command.Code_CODE_PLAN_NOT_PUBLISHED},
		{"publish deprecated", func(l *log) { api(l); l.must(move("open", deprecated)) }, move("open", published), command.Code_CODE_PLAN_DEPRECATED},
		{"close closed", func(l *log) { api(l); l.must(move("open", closed)) }, move("open", closed), command.Code_CODE_PLAN_CLOSED},
		{"publish closed", func(l *log) { api(l); l.must(move("new", closed)) }, move("new", published), command.Code_CODE_PLAN_CLOSED},
		{"delete unknown plan", api, &command.DeletePlan{ApiId: "a", PlanId: "x"}, command.Code_CODE_PLAN_NOT_FOUND},
		{"new plan of a deprecated API", func(l *log) { api(l); l.must(lifecycle(LifecycleDeprecated)) }, &command.PutPlan{ApiId: "a", Create: true, Plan: keylessPlan("x", 0)}, command.Code_CODE_API_DEPRECATED},
		{"no change", nil, nil, command.Code_CODE_MALFORMED},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLog(t)
			if c.setup != nil {
				c.setup(l)
			}
			l.refused(c.want, c.do)
		})
	}
}

func TestFSM_PathsConflictWithinKindHostAndEnvironment(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.must(create("a", "/a/", "/x/y/"))
	l.must(create("ab", "/ab/"))
	l.must(create("x", "/x/z/"))
	other := create("host", "/a/")
	other.Claims[0].Host = "api.example.com"
	l.must(other)
	elsewhere := create("env2", "/a/")
	elsewhere.Environment = "env2"
	l.must(elsewhere)
	kafka := create("kafka")
	kafka.Claims = []*command.Claim{{Kind: command.Claim_KIND_KAFKA, Host: "orders.kafka.local"}}
	l.must(kafka)
	kafka = create("kafka2")
	kafka.Claims = []*command.Claim{{Kind: command.Claim_KIND_KAFKA, Host: "orders.kafka.local"}}
	l.refused(command.Code_CODE_HOST_CONFLICT, kafka)
	move := create("a", "/a/b/") // an API may nest in what it gives up
	move.Create = false
	l.must(move)
	l.must(create("old", "/x/y/"))
}

func TestFSM_PutTakesPlansIn(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	c := create("a")
	c.Plans = []*command.Plan{keylessPlan("first", published), {Id: "second", Name: "second", Security: "jwt", Status: deprecated}}
	l.must(c)
	c = create("a")
	c.Create, c.CloseOtherPlans = false, true
	c.Plans = []*command.Plan{{Id: "second", Name: "renamed", Security: "jwt"}, {Id: "third", Name: "third", Security: "api-key"}}
	l.must(c)
	var got []string
	for _, p := range l.fsm.State().API("a").Plans {
		got = append(got, fmt.Sprint(p.Name, " ", p.Status, " ", p.Order))
	}
	want := []string{"first PLAN_STATUS_CLOSED 1", "renamed PLAN_STATUS_DEPRECATED 2", "third PLAN_STATUS_STAGING 3"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestFSM_RequestAppliesOnce(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	first := l.send(entry(create("a")), "same")
	again := l.send(entry(create("a")), "same")
	if !proto.Equal(first, again) || again.GetError() != nil {
		t.Fatalf("got %v, want %v", again, first)
	}
	var b bytes.Buffer
	if err := l.fsm.Snapshot().Write(&b); err != nil {
		t.Fatal(err)
	}
	restored := &log{t: t, fsm: New(), index: l.index, now: l.now}
	if err := restored.fsm.Restore(&b); err != nil {
		t.Fatal(err)
	}
	if r := restored.send(entry(create("a")), "same"); !proto.Equal(first, r) {
		t.Fatalf("after a restore: got %v, want %v", r, first)
	}
	restored.now += rememberMS + 1
	restored.send(entry(create("b")), "other") // lets the old one go
	if r := restored.send(entry(create("a")), "same"); r.GetError().GetCode() != command.Code_CODE_API_EXISTS {
		t.Fatalf("a request is remembered for ever: %v", r)
	}
}

func TestFSM_GarbageIsCounted(t *testing.T) {
	t.Parallel()
	f := New()
	for i, b := range [][]byte{nil, {0xff}, []byte("garbage"), {8, 99}} {
		if r := f.Apply(uint64(i+1), b); r.GetError() == nil || r.GetIndex() != uint64(i+1) {
			t.Fatalf("%q gave %v", b, r)
		}
	}
	if got := f.State().Rejected(); got != 4 {
		t.Fatalf("counted %d, want 4", got)
	}
}

func TestFSM_TimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.must(create("a"))
	at := l.fsm.State().AtMS()
	l.now -= 60_000 // a new leader with a slow clock
	l.must(create("b"))
	if got := l.fsm.State().API("b").CreatedAtMS; got != at {
		t.Fatalf("created at %d, want %d", got, at)
	}
}

func TestState_IsNotDisturbedByLaterCommands(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	c := create("a", "/a/")
	c.Plans = []*command.Plan{keylessPlan("p", published)}
	l.must(c)
	old := l.fsm.State()
	before := bytesOf(t, old)
	l.must(l.deploy("a"))
	l.must(&command.MovePlan{ApiId: "a", PlanId: "p", To: closed})
	l.must(&command.DeletePlan{ApiId: "a", PlanId: "p"})
	l.must(create("b"))
	if !bytes.Equal(before, bytesOf(t, old)) {
		t.Fatal("a published state was changed")
	}
	select {
	case <-old.Superseded():
	default:
		t.Fatal("the reader is not told of later states")
	}
}
