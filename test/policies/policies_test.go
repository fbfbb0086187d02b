package policies

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/dataplane/reactor"
	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/builtin"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/bundle"
)

// beside is how many cases run at the same time: most wait for a page to end.
const beside = 32

// TestPolicies runs the tables. A case is named TestPolicies/<package>/<name>.
func TestPolicies(t *testing.T) {
	w := newWorld(t)
	shown := map[string]bool{}
	for _, tab := range tables(t) {
		for _, c := range tab.cases {
			shown[c.Policy] = shown[c.Policy] || c.Want != nil || c.Policy == "groovy" // which is refused whatever it says
		}
		t.Run(tab.pkg, func(t *testing.T) { tab.run(t, w) })
	}
	for _, id := range builtin.Policies.Names() {
		if !shown[id] {
			t.Errorf("policy %s has no table: write one to policies/%s/testdata", id, packageOf(builtin.Policies[id]))
		}
	}
}

// packageOf is the folder of a policy below policies.
func packageOf(typ policies.Type) string {
	name := runtime.FuncForPC(reflect.ValueOf(typ.Compile).Pointer()).Name()
	pkg, _, _ := strings.Cut(path.Base(name), ".")
	return pkg
}

// policiesOf are the policies of a folder.
func policiesOf(pkg string) []string {
	var out []string
	for _, id := range builtin.Policies.Names() {
		if packageOf(builtin.Policies[id]) == pkg {
			out = append(out, id)
		}
	}
	return out
}

// run deploys the APIs of a table, runs its cases beside each other and tells of each in a test of its own.
func (tab *table) run(t *testing.T, w *world) {
	var names, ids []string
	update := reactor.Update{}
	w.revision++
	broken := make([]error, len(tab.cases))
	for i, c := range tab.cases {
		if c.Want == nil {
			continue
		}
		id := c.id(tab.pkg, i)
		names = append(names, id, dead(id))
		doc, err := c.document(id, w.brokers)
		if err != nil {
			broken[i] = err
			continue
		}
		ids = append(ids, id)
		update.Changed = append(update.Changed, reactor.Deployment{ID: id, Revision: w.revision, Bundle: deployed(t, doc)})
	}
	update.Revision = w.revision
	w.topics(t, names)
	deployments := map[string]error{}
	for _, r := range w.worker.Apply(t.Context(), update) {
		deployments[r.ID] = r.Err
	}
	defer func() {
		w.revision++
		w.worker.Apply(t.Context(), reactor.Update{Revision: w.revision, Removed: ids})
	}()
	for i, c := range tab.cases {
		if err := deployments[c.id(tab.pkg, i)]; err != nil {
			broken[i] = fmt.Errorf("not deployed: %w", err)
		}
	}
	bad := tab.judge(t, w, broken)
	for i, c := range tab.cases {
		t.Run(c.Name, func(t *testing.T) {
			for _, b := range bad[i] {
				t.Error(b)
			}
		})
	}
}

func deployed(t *testing.T, doc *apidef.Document) []byte {
	t.Helper()
	definition, err := json.Marshal(doc.API)
	if err != nil {
		t.Fatal(err)
	}
	out, err := bundle.Encode("DEFAULT", "DEFAULT", time.UnixMilli(0), definition)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// judge runs all cases and returns what is bad of each.
func (tab *table) judge(t *testing.T, w *world, broken []error) [][]string {
	bad := make([][]string, len(tab.cases))
	slots := make(chan struct{}, beside)
	var running sync.WaitGroup
	for i, c := range tab.cases {
		if broken[i] != nil {
			bad[i] = []string{broken[i].Error()}
			continue
		}
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if c.Want == nil {
				bad[i] = c.refused(w, c.id(tab.pkg, i))
				return
			}
			bad[i] = c.served(t, w, c.id(tab.pkg, i))
		})
	}
	running.Wait()
	return bad
}

// served runs a case on its API.
func (c *Case) served(t *testing.T, w *world, id string) []string {
	out, err := c.run(t.Context(), w, id)
	if err != nil {
		return []string{err.Error()}
	}
	bad := c.Want.compare(out)
	for what, want := range map[string]*[]Message{id: c.Want.Stored, dead(id): c.Want.DeadLetters} {
		if want == nil {
			continue
		}
		records, err := w.stored(t.Context(), what)
		if err != nil {
			return append(bad, err.Error())
		}
		bad = append(bad, compareMessages("record of "+what, ofRecords(records), *want)...)
	}
	return bad
}

// refused holds the definition of a case against what is checked when it is saved.
func (c *Case) refused(w *world, id string) []string {
	doc, err := c.document(id, w.brokers)
	if err != nil {
		return []string{err.Error()}
	}
	configuration := fmt.Sprintf("/flows/0/%s/%d/configuration", c.Phase, len(c.Flow))
	got := map[string][]string{}
	for _, p := range flow.Check(w.settings, flow.Deployment{ID: id, API: doc.API}).Errors() {
		if !flow.OfFlows(p) {
			continue // refused when it is deployed, not when it is saved
		}
		at := doc.Origin(p.Pointer)
		if rest, ok := strings.CutPrefix(at, configuration); ok {
			at = rest
		}
		got[at] = append(got[at], p.Message)
	}
	var bad []string
	for _, want := range c.Invalid {
		i := slices.IndexFunc(got[want.Pointer], func(text string) bool { return strings.Contains(text, want.Contains) })
		if i < 0 {
			bad = append(bad, fmt.Sprintf("no error at %s with %q", want.Pointer, want.Contains))
			continue
		}
		got[want.Pointer] = slices.Delete(got[want.Pointer], i, i+1)
	}
	for _, at := range slices.Sorted(maps.Keys(got)) {
		for _, text := range got[at] {
			bad = append(bad, fmt.Sprintf("error at %s: %s", at, text))
		}
	}
	return bad
}
