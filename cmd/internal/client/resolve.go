package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// find is the one API that ref means: its id, its crossId, its name, or its name as one word (data-ingestion for
// "Data Ingestion"), in this order. Several of one kind are an error that names them.
func (s *session) find(ctx context.Context, ref string) (*rest.Item[management.API], error) {
	all, err := s.APIs(ctx)
	if err != nil {
		return nil, err
	}
	return pick(all, ref)
}

func pick(all []rest.Item[management.API], ref string) (*rest.Item[management.API], error) {
	ways := []func(a *management.API) bool{
		func(a *management.API) bool { return a.ID == ref },
		func(a *management.API) bool { return a.CrossID == ref },
		func(a *management.API) bool { return a.Name == ref },
		func(a *management.API) bool { return word(a.Name) == word(ref) },
	}
	if ref == "" {
		return nil, usage("the name of an API must not be empty")
	}
	for _, matches := range ways {
		var found []*rest.Item[management.API]
		for i := range all {
			if matches(&all[i].Value) {
				found = append(found, &all[i])
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return nil, ambiguous(ref, found)
		}
	}
	return nil, unknownAPI(ref, all)
}

func ambiguous(ref string, found []*rest.Item[management.API]) error {
	var names []string
	for _, a := range found {
		names = append(names, fmt.Sprintf("%s (%s, version %s)", a.Value.ID, a.Value.Name, a.Value.APIVersion))
	}
	return &exit{code: ExitRefused, err: fmt.Errorf("%q is the name of %s: %s", ref, output.Count(len(found), "API"), strings.Join(names, ", ")),
		hint: "say which one by its id"}
}

func unknownAPI(ref string, all []rest.Item[management.API]) error {
	hint := "\"sluice get apis\" lists those there are"
	if len(all) == 0 {
		hint = "there are no APIs yet; \"sluice apply -f FILE\" makes one"
	}
	var names []string
	for _, a := range all {
		names = append(names, a.Value.Name)
	}
	if near := nearest(ref, names); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return &exit{code: ExitNotFound, err: fmt.Errorf("there is no API %q", ref), hint: hint}
}

// findPlan is the one plan of an API that ref means: its id, crossId, key or name. A closed plan is found only where
// no open one is.
func (s *session) findPlan(ctx context.Context, api *management.API, ref string) (*rest.Item[management.Plan], error) {
	all, err := s.Plans(ctx, api.ID)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, wantClosed := range []bool{false, true} {
		var found []*rest.Item[management.Plan]
		for i := range all {
			p := &all[i].Value
			names = append(names, p.Name)
			if (p.Status == apidef.PlanClosed) == wantClosed && (ref == p.ID || ref == p.CrossID || ref == p.Key || ref == p.Name) && ref != "" {
				found = append(found, &all[i])
			}
		}
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			var ids []string
			for _, p := range found {
				ids = append(ids, p.Value.ID)
			}
			return nil, &exit{code: ExitRefused, hint: "say which one by its id",
				err: fmt.Errorf("%q is the name of %s of %s: %s", ref, output.Count(len(found), "plan"), api.Name, strings.Join(ids, ", "))}
		}
	}
	hint := fmt.Sprintf("\"sluice get plans %s\" lists those there are", quoteArg(api.Name))
	if near := nearest(ref, names); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return nil, &exit{code: ExitNotFound, err: fmt.Errorf("%s has no plan %q", api.Name, ref), hint: hint}
}

// word writes a name as one lower-case word: Data Ingestion -> data-ingestion.
func word(name string) string {
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return strings.Join(parts, "-")
}

// quoteArg writes a name for a shell, so that a hint can be pasted.
func quoteArg(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:@%+/", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// nearest is the name that a typing error may have meant: at most a third of its letters differ.
func nearest(ref string, names []string) string {
	best, distance := "", max(1, len(ref)/3)+1
	for _, name := range names {
		if d := editDistance(word(ref), word(name)); d < distance {
			best, distance = name, d
		}
	}
	return best
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// byName sorts APIs for people; of one name the oldest first.
func byName(all []rest.Item[management.API]) {
	slices.SortStableFunc(all, func(a, b rest.Item[management.API]) int {
		return cmp.Or(cmp.Compare(a.Value.Name, b.Value.Name), cmp.Compare(a.Value.APIVersion, b.Value.APIVersion), a.Value.CreatedAt.Compare(b.Value.CreatedAt), cmp.Compare(a.Value.ID, b.Value.ID))
	})
}
