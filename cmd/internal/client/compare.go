package client

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// served are the members that the server sets; what a definition says of them changes nothing.
var servedMembers = []string{
	"/createdAt", "/updatedAt", "/deployedAt", "/deploymentState", "/primaryOwner", "/workflowState", "/links", "/_links",
	"/environmentId", "/organizationId", "/originContext", "/hrid",
}

// optionalMembers keep what the server holds where a definition does not say them.
var optionalMembers = []string{"crossId", "lifecycleState", "visibility", "definitionContext", "members", "metadata", "pages"}

// optionalPlanMembers are those of a plan.
var optionalPlanMembers = []string{
	"id", "key", "crossId", "status", "order", "type", "validation", "mode", "characteristics", "excludedGroups",
	"generalConditions", "commentRequired", "commentMessage",
}

// changes are the places where storing wanted would change current, as pointers into wanted's normal form. Plans are
// compared where wanted has any, after adoptPlans has matched them.
func changes(wanted, current *apidef.API) []string {
	a, b := bare(wanted), bare(current)
	leaveOut(a, b, optionalMembers)
	var found []string
	diff("", a, b, &found)
	found = append(found, planChanges(wanted.Plans, current.Plans)...)
	for _, side := range []struct{ a, b map[string]json.RawMessage }{{wanted.Carried, current.Carried}, {wanted.Unknown, current.Unknown}} {
		for at, v := range side.a {
			if !slices.Contains(servedMembers, at) && !strings.HasPrefix(at, "/plans/") && !reflect.DeepEqual(decoded(v), decoded(side.b[at])) {
				found = append(found, at)
			}
		}
	}
	sort.Strings(found)
	return slices.Compact(found)
}

// bare is a definition as a tree, without what is compared apart or not at all.
func bare(api *apidef.API) map[string]any {
	c := *api
	c.ID, c.State, c.Plans, c.Carried, c.Unknown = "", "", nil, nil, nil
	return treeOf(c)
}

func planChanges(wanted, current []apidef.Plan) []string {
	if len(wanted) == 0 {
		return nil
	}
	var found []string
	kept := map[string]bool{}
	for i, w := range wanted {
		at := "/plans/" + strconv.Itoa(i)
		j := slices.IndexFunc(current, func(c apidef.Plan) bool { return w.ID != "" && c.ID == w.ID })
		if j < 0 {
			found = append(found, at)
			continue
		}
		kept[w.ID] = true
		a, b := treeOf(w), treeOf(current[j])
		leaveOut(a, b, optionalPlanMembers)
		diff(at, a, b, &found)
	}
	for _, c := range current {
		if c.Status != apidef.PlanClosed && !kept[c.ID] {
			found = append(found, "/plans") // one that the definition no longer has
		}
	}
	return found
}

// leaveOut takes the names that a does not have out of b.
func leaveOut(a, b map[string]any, names []string) {
	for _, name := range names {
		if a[name] == nil {
			delete(b, name)
		}
	}
}

// diff adds the pointers at which a and b part. An id that a does not give is the server's to choose.
func diff(at string, a, b any, found *[]string) {
	switch av := a.(type) {
	case map[string]any:
		bv, ok := b.(map[string]any)
		if !ok {
			break
		}
		for name := range union(av, bv) {
			if name == "id" && av[name] == nil {
				continue
			}
			diff(at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), av[name], bv[name], found)
		}
		return
	case []any:
		bv, ok := b.([]any)
		if !ok || len(av) != len(bv) {
			break
		}
		for i := range av {
			diff(at+"/"+strconv.Itoa(i), av[i], bv[i], found)
		}
		return
	}
	if !reflect.DeepEqual(a, b) {
		*found = append(*found, at)
	}
}

func union(a, b map[string]any) map[string]bool {
	names := map[string]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	return names
}

// treeOf is v as encoding/json sees it, numbers with their digits.
func treeOf(v any) map[string]any {
	data, err := json.Marshal(v)
	if err != nil {
		return nil // an opaque value that is not JSON; Encode refuses it with its place
	}
	tree, _ := decoded(data).(map[string]any)
	return tree
}

func decoded(data []byte) any {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	return v
}

// adoptPlans gives each plan of wanted the id of the plan that it means among those stored: the one with its crossId,
// else its key, else its name. A plan never goes back to staging, so one that is staged here (also because nothing was
// said) and further along there keeps the status it has.
func adoptPlans(wanted, current []apidef.Plan) {
	taken := map[string]bool{}
	for _, w := range wanted {
		taken[w.ID] = true
	}
	ways := []func(w, c *apidef.Plan) bool{
		func(w, c *apidef.Plan) bool { return w.CrossID != "" && w.CrossID == c.CrossID },
		func(w, c *apidef.Plan) bool { return w.Key != "" && w.Key == c.Key },
		func(w, c *apidef.Plan) bool { return w.Name == c.Name },
	}
	for _, same := range ways {
		for i := range wanted {
			for j := range current {
				w, c := &wanted[i], &current[j]
				if w.ID == "" && !taken[c.ID] && c.Status != apidef.PlanClosed && same(w, c) {
					w.ID = c.ID
					taken[c.ID] = true
				}
			}
		}
	}
	for i := range wanted {
		for j := range current {
			if wanted[i].ID == current[j].ID && wanted[i].Status == apidef.PlanStaging {
				wanted[i].Status = current[j].Status
			}
		}
	}
}
