package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/proto/command"
)

func pushPlan(id string, status command.PlanStatus) *command.Plan {
	return &command.Plan{Id: id, Name: id, Definition: []byte(`{"mode":"push"}`), Status: status}
}

// subscribe makes a subscription that waits to be accepted.
func subscribe(id, api, plan string) *command.PutSubscription {
	return &command.PutSubscription{
		SubscriptionId: id, Create: true, ApiId: api, PlanId: plan,
		Consumer: &command.Consumer{EntrypointId: "webhook", Configuration: []byte(`{"callbackUrl":"https://example.com"}`)},
	}
}

func move(id string, to command.SubscriptionMove) *command.MoveSubscription {
	return &command.MoveSubscription{SubscriptionId: id, Move: to}
}

const (
	accept  = command.SubscriptionMove_SUBSCRIPTION_MOVE_ACCEPT
	reject  = command.SubscriptionMove_SUBSCRIPTION_MOVE_REJECT
	pause   = command.SubscriptionMove_SUBSCRIPTION_MOVE_PAUSE
	resume  = command.SubscriptionMove_SUBSCRIPTION_MOVE_RESUME
	finish  = command.SubscriptionMove_SUBSCRIPTION_MOVE_CLOSE
	restore = command.SubscriptionMove_SUBSCRIPTION_MOVE_RESTORE
	halt    = command.SubscriptionMove_SUBSCRIPTION_MOVE_STOP
	begin   = command.SubscriptionMove_SUBSCRIPTION_MOVE_START
)

// pushing is a served API "a" with the push plan "push" and the subscription "s", pending.
func pushing(l *log) {
	c := create("a", "/a/")
	c.Plans = []*command.Plan{
		pushPlan("push", published), pushPlan("old", deprecated), pushPlan("gone", closed), pushPlan("new", staging), keylessPlan("free", published),
	}
	l.must(c)
	l.must(l.deploy("a"))
	l.must(start("a"))
	l.must(subscribe("s", "a", "push"))
}

func (l *log) subscription(id string) *Subscription { return l.fsm.State().Subscription(id) }

// known lists what workers are told, as id, revision and whether it is delivered.
func known(s *State) (out []string) {
	for sub, a := range s.Known {
		out = append(out, fmt.Sprint(sub.ID, " ", sub.PushedAs(a), " ", sub.Dispatched()))
	}
	return out
}

func TestFSM_LifeOfASubscription(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	pushing(l)
	if s := l.subscription("s"); s.Status != pending || s.ConsumerStatus != consumerStarted || s.Application != DefaultApplication || s.SubscribedBy != "ada" {
		t.Fatalf("created: %+v", s)
	}
	if got := known(l.fsm.State()); got != nil {
		t.Fatalf("workers are told of what is pending: %v", got)
	}
	step := func(to command.SubscriptionMove, want string) {
		t.Helper()
		m := move("s", to)
		m.Reason = "because"
		r := l.must(m)
		got := fmt.Sprint(statusNames[l.subscription("s").Status], " ", l.subscription("s").ConsumerStatus, " ", known(l.fsm.State()))
		if want = strings.ReplaceAll(want, "INDEX", fmt.Sprint(r.GetIndex())); got != want {
			t.Fatalf("%v: got %s, want %s", to, got, want)
		}
		if r.GetRevision() != r.GetIndex() || l.fsm.State().Revision() != r.GetIndex() {
			t.Fatalf("%v made no revision: %v", to, r)
		}
	}
	step(accept, "accepted CONSUMER_STATUS_STARTED [s INDEX true]")
	if s := l.subscription("s"); s.Reason != "because" || s.ProcessedBy != "ada" || s.StartingAtMS != l.now || s.ProcessedAtMS != l.now {
		t.Fatalf("accepted: %+v", s)
	}
	step(pause, "paused CONSUMER_STATUS_STARTED [s INDEX false]")
	if s := l.subscription("s"); s.PausedAtMS != l.now {
		t.Fatalf("paused: %+v", s)
	}
	step(halt, "paused CONSUMER_STATUS_STOPPED [s INDEX false]")
	step(resume, "accepted CONSUMER_STATUS_STOPPED [s INDEX false]")
	step(begin, "accepted CONSUMER_STATUS_STARTED [s INDEX true]")
	l.must(&command.FailSubscription{SubscriptionId: "s", Revision: l.index, Cause: "401"})
	if s := l.subscription("s"); s.ConsumerStatus != consumerFailed || s.FailureCause != "401" || s.Dispatched() {
		t.Fatalf("failed: %+v", s)
	}
	l.refused(command.Code_CODE_SUBSCRIPTION_STALE, &command.FailSubscription{SubscriptionId: "s", Revision: l.index, Cause: "again"})
	failed := l.index
	step(begin, "accepted CONSUMER_STATUS_STARTED [s INDEX true]")
	if s := l.subscription("s"); s.FailureCause != "" {
		t.Fatalf("resumed: %+v", s)
	}
	l.refused(command.Code_CODE_SUBSCRIPTION_STALE, &command.FailSubscription{SubscriptionId: "s", Revision: failed, Cause: "late"})
	step(finish, "closed CONSUMER_STATUS_STARTED []")
	l.must(move("s", restore))
	if s := l.subscription("s"); s.Status != pending || s.ClosedAtMS != 0 || s.ProcessedBy != "" {
		t.Fatalf("restored: %+v", s)
	}
	l.must(move("s", reject))
}

func TestFSM_SubscriptionRefusals(t *testing.T) {
	t.Parallel()
	did := func(moves ...command.SubscriptionMove) func(l *log) {
		return func(l *log) {
			pushing(l)
			for _, m := range moves {
				l.must(move("s", m))
			}
		}
	}
	named := func(id, application, channel string) *command.PutSubscription {
		p := subscribe(id, "a", "push")
		p.Application, p.Consumer.Channel = application, channel
		return p
	}
	change := &command.PutSubscription{SubscriptionId: "s", Consumer: &command.Consumer{EntrypointId: "webhook"}}
	cases := []struct {
		name  string
		setup func(l *log)
		do    any
		want  command.Code
	}{
		{"no id", did(), subscribe("", "a", "push"), command.Code_CODE_MALFORMED},
		{"exists", did(), subscribe("s", "a", "push"), command.Code_CODE_SUBSCRIPTION_EXISTS},
		{"of no API", did(), subscribe("x", "b", "push"), command.Code_CODE_API_NOT_FOUND},
		{"of no plan", did(), subscribe("x", "a", "p"), command.Code_CODE_PLAN_NOT_FOUND},
		{"of a staging plan", did(), subscribe("x", "a", "new"), command.Code_CODE_PLAN_NOT_PUBLISHED},
		{"of a closed plan", did(), subscribe("x", "a", "gone"), command.Code_CODE_PLAN_CLOSED},
		{"of a deprecated plan", did(), subscribe("x", "a", "old"), command.Code_CODE_PLAN_NOT_SUBSCRIBABLE},
		{"of a keyless plan", did(), subscribe("x", "a", "free"), command.Code_CODE_PLAN_NOT_SUBSCRIBABLE},
		{"no entrypoint", did(), &command.PutSubscription{SubscriptionId: "x", Create: true, ApiId: "a", PlanId: "push"}, command.Code_CODE_SUBSCRIPTION_ENTRYPOINT_MISSING},
		{"subscribed", func(l *log) { pushing(l); l.must(named("x", "shop", "c")) }, named("y", "shop", "c"), command.Code_CODE_PLAN_SUBSCRIBED},
		{"update unknown", did(), &command.PutSubscription{SubscriptionId: "x"}, command.Code_CODE_SUBSCRIPTION_NOT_FOUND},
		{"update stale", did(), &command.PutSubscription{SubscriptionId: "s", ExpectVersion: 1}, command.Code_CODE_VERSION_MISMATCH},
		{"update closed", did(finish), change, command.Code_CODE_SUBSCRIPTION_NOT_UPDATABLE},
		{"update rejected", did(reject), change, command.Code_CODE_SUBSCRIPTION_NOT_UPDATABLE},
		{"update without entrypoint", did(), &command.PutSubscription{SubscriptionId: "s"}, command.Code_CODE_SUBSCRIPTION_ENTRYPOINT_MISSING},
		{"move nowhere", did(), move("s", 0), command.Code_CODE_MALFORMED},
		{"move unknown", did(), move("x", accept), command.Code_CODE_SUBSCRIPTION_NOT_FOUND},
		{"accept accepted", did(accept), move("s", accept), command.Code_CODE_SUBSCRIPTION_PROCESSED},
		{"reject accepted", did(accept), move("s", reject), command.Code_CODE_SUBSCRIPTION_PROCESSED},
		{"accept closed", did(finish), move("s", accept), command.Code_CODE_SUBSCRIPTION_PROCESSED},
		{"pause pending", did(), move("s", pause), command.Code_CODE_SUBSCRIPTION_NOT_PAUSABLE},
		{"pause paused", did(accept, pause), move("s", pause), command.Code_CODE_SUBSCRIPTION_NOT_PAUSABLE},
		{"resume accepted", did(accept), move("s", resume), command.Code_CODE_SUBSCRIPTION_NOT_PAUSED},
		{"close closed", did(finish), move("s", finish), command.Code_CODE_SUBSCRIPTION_CLOSED},
		{"close rejected", did(reject), move("s", finish), command.Code_CODE_SUBSCRIPTION_CLOSED},
		{"restore pending", did(), move("s", restore), command.Code_CODE_SUBSCRIPTION_NOT_CLOSED},
		{"restore at a closed plan", func(l *log) {
			pushing(l)
			l.must(&command.MovePlan{ApiId: "a", PlanId: "push", To: closed})
		}, move("s", restore), command.Code_CODE_PLAN_CLOSED},
		{"start started", did(), move("s", begin), command.Code_CODE_SUBSCRIPTION_CONSUMER_STATUS},
		{"stop stopped", did(halt), move("s", halt), command.Code_CODE_SUBSCRIPTION_CONSUMER_STATUS},
		{"fail pending", did(), &command.FailSubscription{SubscriptionId: "s", Revision: 1 << 40}, command.Code_CODE_SUBSCRIPTION_STALE},
		{"fail what was before", did(accept), &command.FailSubscription{SubscriptionId: "s", Revision: 1}, command.Code_CODE_SUBSCRIPTION_STALE},
		{"replay pending", did(), &command.AddReplay{SubscriptionId: "s", ReplayId: "r", From: "earliest"}, command.Code_CODE_REPLAY_REFUSED},
		{"replay from nowhere", did(accept), &command.AddReplay{SubscriptionId: "s", ReplayId: "r"}, command.Code_CODE_MALFORMED},
		{"replay unknown", did(), &command.EndReplay{SubscriptionId: "s", ReplayId: "r"}, command.Code_CODE_REPLAY_NOT_FOUND},
		{"delete a published plan with subscriptions", did(), &command.DeletePlan{ApiId: "a", PlanId: "push"}, command.Code_CODE_PLAN_NOT_DELETABLE},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLog(t)
			c.setup(l)
			l.refused(c.want, c.do)
		})
	}
}

// TestFSM_OneSubscriptionPerApplicationAndChannel: a named application subscribes to a channel once while that is open; the
// default application stands for nobody.
func TestFSM_OneSubscriptionPerApplicationAndChannel(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	pushing(l)
	l.must(subscribe("s2", "a", "push"))
	one := subscribe("x", "a", "push")
	one.Application = "shop"
	l.must(one)
	other := subscribe("y", "a", "push")
	other.Application, other.Consumer.Channel = "shop", "other"
	l.must(other)
	l.refused(command.Code_CODE_PLAN_SUBSCRIBED, &command.PutSubscription{SubscriptionId: "y", Consumer: one.GetConsumer()})
	l.must(move("x", finish))
	l.must(&command.PutSubscription{SubscriptionId: "y", Consumer: one.GetConsumer()})
	l.refused(command.Code_CODE_PLAN_SUBSCRIBED, move("x", restore))
}

func TestFSM_Replays(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	pushing(l)
	l.must(move("s", accept))
	add := func(i int) *command.AddReplay {
		return &command.AddReplay{SubscriptionId: "s", ReplayId: fmt.Sprint(i), From: "earliest"}
	}
	for i := range maxReplaysRunning {
		l.must(add(i))
	}
	l.refused(command.Code_CODE_REPLAY_EXISTS, add(0))
	l.refused(command.Code_CODE_REPLAY_REFUSED, add(100))
	for i := range maxReplays {
		l.must(&command.EndReplay{SubscriptionId: "s", ReplayId: fmt.Sprint(i)})
		l.refused(command.Code_CODE_SUBSCRIPTION_STALE, &command.EndReplay{SubscriptionId: "s", ReplayId: fmt.Sprint(i), Error: "late"})
		l.must(add(i + maxReplaysRunning))
	}
	got := l.subscription("s").Replays
	if len(got) != maxReplays || got[0].State != replayFinished || got[0].ID != fmt.Sprint(maxReplaysRunning) || got[maxReplays-1].State != replayRunning {
		t.Fatalf("%d replays: %+v", len(got), got)
	}
	l.must(&command.EndReplay{SubscriptionId: "s", ReplayId: got[0].ID, Cancel: true})
	last := got[maxReplays-1].ID
	replaying := func() (ids []string) {
		for s := range l.fsm.State().Replaying {
			ids = append(ids, s.ID)
		}
		return ids
	}
	if got := replaying(); !slices.Equal(got, []string{"s"}) {
		t.Fatalf("replaying %v", got)
	}
	l.must(&command.AssignReplay{SubscriptionId: "s", ReplayId: last, Worker: "w1"})
	l.refused(command.Code_CODE_SUBSCRIPTION_STALE, &command.AssignReplay{SubscriptionId: "s", ReplayId: last, Worker: "w2"})
	l.must(&command.AssignReplay{SubscriptionId: "s", ReplayId: last, From: "w1", Worker: "w2"})
	l.refused(command.Code_CODE_SUBSCRIPTION_STALE, &command.EndReplay{SubscriptionId: "s", ReplayId: last, Worker: "w1"})
	l.refused(command.Code_CODE_REPLAY_NOT_FOUND, &command.AssignReplay{SubscriptionId: "s", ReplayId: "x", Worker: "w1"})
	l.must(&command.EndReplay{SubscriptionId: "s", ReplayId: last, Worker: "w2"})
	l.refused(command.Code_CODE_SUBSCRIPTION_STALE, &command.AssignReplay{SubscriptionId: "s", ReplayId: last, From: "w2", Worker: "w1"})
	l.must(move("s", finish))
	for _, r := range l.subscription("s").Replays {
		if r.State == replayRunning || r.ID == got[0].ID {
			t.Fatalf("after the end: %+v", r)
		}
	}
	if got := replaying(); got != nil {
		t.Fatalf("replaying %v", got)
	}
}

func TestFSM_SubscriptionsFollowTheirAPI(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	pushing(l)
	l.must(move("s", accept))
	first := known(l.fsm.State())
	l.must(l.deploy("a"))
	if got := known(l.fsm.State()); !slices.Equal(got, first) {
		t.Fatalf("a redeployment tells of subscriptions: %v after %v", got, first)
	}
	tagged := create("a", "/a/")
	tagged.Create, tagged.Tags = false, []string{"eu"}
	l.must(tagged)
	at := l.fsm.State().Revision()
	moved := l.must(l.deploy("a"))
	if got := known(l.fsm.State()); len(got) != 1 || got[0] != fmt.Sprint("s ", moved.GetIndex(), " true") {
		t.Fatalf("after other tags: %v", got)
	}
	if apis, subs, ok := l.fsm.State().ChangedSince(at); !ok || !slices.Equal(apis, []string{"a"}) || !slices.Equal(subs, []string{"s"}) {
		t.Fatalf("changed: %v %v %t", apis, subs, ok)
	}
	l.must(stop("a"))
	if got := known(l.fsm.State()); got != nil {
		t.Fatalf("of a stopped API: %v", got)
	}
	again := l.must(start("a"))
	if got := known(l.fsm.State()); len(got) != 1 || got[0] != fmt.Sprint("s ", again.GetIndex(), " true") {
		t.Fatalf("started again: %v", got)
	}
	l.must(&command.MovePlan{ApiId: "a", PlanId: "push", To: closed})
	if s := l.subscription("s"); s.Status != over || known(l.fsm.State()) != nil {
		t.Fatalf("at a closed plan: %+v", s)
	}
	l.must(&command.DeletePlan{ApiId: "a", PlanId: "push"})
	if l.subscription("s") != nil {
		t.Fatal("a subscription without a plan is left")
	}
	l.must(&command.PutPlan{ApiId: "a", Create: true, Plan: pushPlan("push", published)})
	l.must(subscribe("s", "a", "push"))
	l.must(stop("a"))
	l.must(&command.DeleteApi{ApiId: "a", ClosePlans: true})
	if s := l.fsm.State(); s.Subscription("s") != nil || s.members.Len()+s.subscribers.Len() != 0 {
		t.Fatal("a subscription without an API is left")
	}
}

// TestState_ChangedSinceForgets: who asks for more than is remembered is told so, and a revision is remembered whole.
func TestState_ChangedSinceForgets(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	pushing(l)
	l.must(move("s", accept))
	early := l.fsm.State().Revision()
	for range maxTouches {
		l.must(move("s", pause))
		l.must(move("s", resume))
	}
	s := l.fsm.State()
	if _, _, ok := s.ChangedSince(early); ok || len(s.touched.log) > maxTouches {
		t.Fatalf("remembers %d changes for ever", len(s.touched.log))
	}
	if _, subs, ok := s.ChangedSince(s.touched.floor); !ok || !slices.Equal(subs, []string{"s"}) {
		t.Fatalf("since the floor: %v %t", subs, ok)
	}
	if _, subs, ok := s.ChangedSince(s.Revision()); !ok || subs != nil {
		t.Fatalf("since now: %v %t", subs, ok)
	}
	if _, _, ok := s.ChangedSince(s.Revision() + 1); ok {
		t.Fatal("knows the future")
	}
}

// life is the model of a subscription: where it stands, as plainly as can be.
type life struct {
	status   string
	consumer string
	cause    string
}

// next is what the specification says of a move: where it leads, or nowhere (spec 7.4).
func (s life) next(m command.SubscriptionMove) (life, bool) {
	from := func(allowed ...string) bool { return slices.Contains(allowed, s.status) }
	switch m {
	case accept:
		ok := from("pending")
		s.status = "accepted"
		return s, ok
	case reject:
		ok := from("pending")
		s.status = "rejected"
		return s, ok
	case pause:
		ok := from("accepted")
		s.status = "paused"
		return s, ok
	case resume:
		ok := from("paused")
		s.status = "accepted"
		return s, ok
	case finish:
		ok := from("pending", "accepted", "paused")
		s.status = "closed"
		return s, ok
	case restore:
		ok := from("closed", "rejected")
		s.status = "pending"
		return s, ok
	case halt:
		ok := s.consumer != "stopped"
		s.consumer, s.cause = "stopped", ""
		return s, ok
	default:
		ok := s.consumer != "started"
		s.consumer, s.cause = "started", ""
		return s, ok
	}
}

var consumerNames = map[command.ConsumerStatus]string{consumerStarted: "started", consumerStopped: "stopped", consumerFailed: "failure"}

// TestFSM_SubscriptionsFollowTheModel applies random changes of three subscriptions; what they come to is the model's, what
// workers are told of follows from it, and a position plus ChangedSince gives the same as looking at everything.
func TestFSM_SubscriptionsFollowTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		l := newLog(t)
		pushing(l)
		model := map[string]life{"s": {"pending", "started", ""}}
		told, at := map[string]string{}, uint64(0)
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			id := rapid.SampledFrom([]string{"s", "t", "u"}).Draw(rt, "id")
			was, exists := model[id]
			switch kind := rapid.IntRange(0, 9).Draw(rt, "kind"); {
			case kind == 0:
				auto := rapid.Bool().Draw(rt, "auto")
				p := subscribe(id, "a", "push")
				p.Accept = auto
				expect(rt, l.apply(p), !exists)
				if !exists {
					model[id] = life{map[bool]string{true: "accepted", false: "pending"}[auto], "started", ""}
				}
			case kind == 1:
				r := l.apply(&command.FailSubscription{SubscriptionId: id, Revision: l.index, Cause: "broken"})
				ok := was.status == "accepted" && was.consumer == "started"
				expect(rt, r, ok)
				if ok {
					model[id] = life{"accepted", "failure", "broken"}
				}
			case kind == 2:
				l.apply(rapid.SampledFrom([]any{stop("a"), start("a"), l.deploy("a")}).Draw(rt, "API"))
			default:
				m := command.SubscriptionMove(rapid.IntRange(1, 8).Draw(rt, "move"))
				now, ok := was.next(m)
				expect(rt, l.apply(move(id, m)), ok && exists)
				if ok && exists {
					model[id] = now
				}
			}
			checkLives(rt, l.fsm.State(), model)
			if rapid.Bool().Draw(rt, "look") {
				at = follow(rt, l.fsm.State(), told, at)
			}
		}
		var b, again bytes.Buffer
		f := New()
		if err := l.fsm.Snapshot().Write(&b); err != nil {
			rt.Fatal(err)
		}
		if err := f.Restore(bytes.NewReader(b.Bytes())); err != nil {
			rt.Fatal(err)
		}
		if err := f.Snapshot().Write(&again); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
			rt.Fatalf("a snapshot restores to something else (%v)", err)
		}
		checkLives(rt, f.State(), model)
	})
}

func expect(t *rapid.T, r *command.Result, ok bool) {
	if (r.GetError() == nil) != ok {
		t.Fatalf("got %v, the model says %t", r, ok)
	}
}

func checkLives(t *rapid.T, s *State, model map[string]life) {
	n := 0
	for sub := range s.SubscriptionsOf("a") {
		n++
		got := life{statusNames[sub.Status], consumerNames[sub.ConsumerStatus], sub.FailureCause}
		if want := model[sub.ID]; got != want {
			t.Fatalf("%s is %+v, the model says %+v", sub.ID, got, want)
		}
		if told := s.KnownAt(sub) != nil; told != (s.API("a").Started && (got.status == "accepted" || got.status == "paused")) {
			t.Fatalf("%s is %+v, workers know: %t", sub.ID, got, told)
		}
	}
	if n != len(model) || s.subscriptions.Len() != n {
		t.Fatalf("%d subscriptions, the model has %d", n, len(model))
	}
}

// follow brings what a follower was told at a revision up to date, and checks that it is all there is.
func follow(t *rapid.T, s *State, told map[string]string, at uint64) uint64 {
	_, changed, ok := s.ChangedSince(at)
	if !ok {
		t.Fatal("a few changes are forgotten")
	}
	line := func(sub *Subscription, a *API) string {
		return fmt.Sprint(sub.ID, " ", sub.PushedAs(a), " ", sub.Dispatched())
	}
	for _, id := range changed {
		delete(told, id)
		if sub := s.Subscription(id); sub != nil {
			if a := s.KnownAt(sub); a != nil {
				told[id] = line(sub, a)
			}
		}
	}
	want := map[string]string{}
	for sub, a := range s.Known {
		want[sub.ID] = line(sub, a)
	}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Fatalf("a follower has %v, there is %v", told, want)
	}
	return s.Revision()
}
