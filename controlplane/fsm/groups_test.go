package fsm

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/proto/command"
)

func group(id, steps string) *command.PutGroup {
	return &command.PutGroup{GroupId: id, Create: true, Organization: "org", Environment: "env", ApiType: "message", Phase: "request", Name: "Group " + id, Steps: []byte(steps)}
}

// changed is a group's next content.
func changed(id, steps string) *command.PutGroup {
	g := group(id, steps)
	g.Create = false
	return g
}

// deployWith deploys an API whose definition has a slot for each group, in order: <?>, <?> and so on.
func (l *log) deployWith(id string, groups ...string) *command.Deploy {
	d := l.deploy(id)
	d.Definition = nil
	for _, g := range groups {
		d.Definition = append(d.Definition, '<')
		d.Slots = append(d.Slots, &command.Slot{GroupId: g, Offset: uint64(len(d.Definition)), Length: 1})
		d.Definition = append(d.Definition, "?>"...)
	}
	return d
}

func sampleGroups(l *log) {
	g := group("auth", `[1]`)
	g.CrossId, g.Description, g.Prerequisite = "auth-1", "who may", "a cache"
	l.must(g)
	l.must(&command.DeployGroup{GroupId: "auth"})
	l.must(l.deployWith("orders", "auth", "auth"))
	l.must(changed("auth", `[2]`))
	l.must(group("empty", `[]`))
}

// served is an API with a published plan, started with groups.
func (l *log) served(id string, groups ...string) {
	l.t.Helper()
	c := create(id, "/"+id+"/")
	c.Plans = []*command.Plan{keylessPlan("plan-"+id, published)}
	l.must(c)
	l.must(l.deployWith(id, groups...))
	l.must(start(id))
}

func TestGroups_DeploymentReachesWhatIsDeployedWithThem(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	for id, steps := range map[string]string{"a": "[first]", "b": "[bb]"} {
		l.must(group(id, steps))
		l.must(&command.DeployGroup{GroupId: id})
	}
	l.served("both", "a", "b", "a")
	l.served("other", "b")
	l.served("stopped", "a")
	l.must(stop("stopped"))
	definition := func(id string) string { return string(l.fsm.State().API(id).Deployed.Definition) }
	if got := definition("both"); got != "<[first]><[bb]><[first]>" {
		t.Fatalf("deployed %s", got)
	}
	before := l.fsm.State().Revision()
	was := l.fsm.State().API("other")

	if r := l.must(changed("a", "[the second]")); r.GetRevision() != 0 || definition("both") != "<[first]><[bb]><[first]>" || !l.fsm.State().Group("a").Pending() {
		t.Fatal("saving a group changed an API")
	}
	r := l.must(&command.DeployGroup{GroupId: "a"})
	if got := definition("both"); got != "<[the second]><[bb]><[the second]>" {
		t.Fatalf("deployed %s", got)
	}
	if got := definition("stopped"); got != "<[the second]>" {
		t.Fatalf("a stopped API is deployed with %s, and its start would serve that", got)
	}
	if l.fsm.State().API("other") != was {
		t.Fatal("an API without the group was changed")
	}
	apis, subs, ok := l.fsm.State().ChangedSince(before)
	if !ok || !slices.Equal(apis, []string{"both"}) || len(subs) > 0 || r.GetRevision() != l.fsm.State().Revision() || l.fsm.State().API("both").Deployed.Revision != r.GetRevision() {
		t.Fatalf("workers are told of %v and %v, revision %d", apis, subs, r.GetRevision())
	}
	if r := l.must(&command.DeployGroup{GroupId: "a"}); r.GetRevision() != 0 {
		t.Fatal("a group that did not change made a revision")
	}
	l.must(changed("a", "[]")) // shorter: the slots behind it move
	l.must(&command.DeployGroup{GroupId: "a"})
	l.must(changed("b", "[x]"))
	l.must(&command.DeployGroup{GroupId: "b"})
	if got := definition("both"); got != "<[]><[x]><[]>" {
		t.Fatalf("deployed %s", got)
	}
}

func TestGroups_Refused(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.must(group("a", "[]"))
	l.refused(command.Code_CODE_GROUP_EXISTS, group("a", "[]"))
	l.refused(command.Code_CODE_GROUP_NOT_FOUND, changed("b", "[]"))
	l.refused(command.Code_CODE_GROUP_NOT_FOUND, &command.DeployGroup{GroupId: "b"})
	l.refused(command.Code_CODE_VERSION_MISMATCH, &command.DeployGroup{GroupId: "a", ExpectVersion: 1})
	l.refused(command.Code_CODE_GROUP_NOT_DEPLOYED, &command.UndeployGroup{GroupId: "a"})
	other := changed("a", "[]")
	other.Phase = "response"
	l.refused(command.Code_CODE_GROUP_CHANGED, other)
	l.refused(command.Code_CODE_MALFORMED, &command.PutGroup{GroupId: "c", Create: true})

	c := create("orders", "/orders/")
	c.Plans = []*command.Plan{keylessPlan("free", published)}
	l.must(c)
	l.refused(command.Code_CODE_GROUP_NOT_DEPLOYED, l.deployWith("orders", "a"))
	l.refused(command.Code_CODE_GROUP_NOT_FOUND, l.deployWith("orders", "b"))
	foreign := group("foreign", "[]")
	foreign.Environment = "elsewhere"
	l.must(foreign)
	l.must(&command.DeployGroup{GroupId: "foreign"})
	l.refused(command.Code_CODE_GROUP_NOT_FOUND, l.deployWith("orders", "foreign"))

	l.must(&command.DeployGroup{GroupId: "a"})
	for _, slot := range []*command.Slot{{GroupId: "a", Offset: 1 << 63, Length: 1 << 63}, {GroupId: "a", Offset: 2, Length: 1 << 62}, {GroupId: "a", Offset: 99}} {
		d := l.deployWith("orders", "a")
		d.Slots = append(d.Slots, slot)
		l.refused(command.Code_CODE_MALFORMED, d)
	}
	back := l.deployWith("orders", "a", "a")
	slices.Reverse(back.Slots)
	l.refused(command.Code_CODE_MALFORMED, back)

	l.must(l.deployWith("orders", "a"))
	for _, gone := range []any{&command.UndeployGroup{GroupId: "a"}, &command.DeleteGroup{GroupId: "a"}} {
		if e := l.refused(command.Code_CODE_GROUP_USED, gone); !strings.Contains(e.GetMessage(), "orders") {
			t.Errorf("%q does not name the API", e.GetMessage())
		}
	}
	l.must(changed("a", "["+strings.Repeat(" ", maxDefinition)+"]"))
	l.refused(command.Code_CODE_GROUP_TOO_LARGE, &command.DeployGroup{GroupId: "a"})

	l.must(l.deploy("orders"))
	l.must(&command.UndeployGroup{GroupId: "a"})
	l.must(&command.DeleteGroup{GroupId: "a"})
	if l.fsm.State().Group("a") != nil {
		t.Error("a deleted group is still there")
	}
}

// TestGroups_FirstStart: the first start of an API deploys it, groups and all.
func TestGroups_FirstStart(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.must(group("a", "[1]"))
	l.must(&command.DeployGroup{GroupId: "a"})
	c := create("orders", "/orders/")
	c.Plans = []*command.Plan{keylessPlan("free", published)}
	l.must(c)
	s, d := start("orders"), l.deployWith("orders", "a")
	s.ExpectVersion, s.Definition, s.Slots = d.GetExpectVersion(), d.GetDefinition(), d.GetSlots()
	l.must(s)
	if got := string(l.fsm.State().API("orders").Deployed.Definition); got != "<[1]>" {
		t.Fatalf("deployed %s", got)
	}
}
