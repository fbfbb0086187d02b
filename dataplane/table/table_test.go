package table_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/dataplane/table"
)

func TestTable_Lookup(t *testing.T) {
	t.Parallel()
	b := table.NewBuilder[string]()
	tab, _ := b.Apply([]table.Change[string]{
		{ID: "a", Value: "a", Routes: []table.Route{{Path: "/a/"}}},
		{ID: "ab", Value: "ab", Routes: []table.Route{{Path: "/a/b/"}}},
		{ID: "hosted", Value: "hosted", Routes: []table.Route{{Host: "Example.com", Path: "/a/"}, {Host: "other.org:8443", Path: "/"}}},
	})
	for _, c := range []struct {
		name, host, path string
		want, info       string
	}{
		{"itself", "", "/a/", "a", "/"},
		{"without trailing slash", "", "/a", "a", ""},
		{"below", "", "/a/x/y", "a", "/x/y"},
		{"longest", "", "/a/b/c", "ab", "/c"},
		{"longest without slash", "", "/a/b", "ab", ""},
		{"prefix of a segment only", "", "/ab", "", ""},
		{"unknown", "", "/z", "", ""},
		{"root not stored", "", "/", "", ""},
		{"no path, no root", "", "", "", ""},
		{"asterisk form", "", "*", "", ""},
		{"raw, not cleaned", "", "//a/", "", ""},
		{"host before longer path", "example.COM:8082", "/a/b/c", "hosted", "/b/c"},
		{"host root before longer path", "other.org", "/a/b/c", "hosted", "/a/b/c"},
		{"unknown host falls back", "nobody", "/a/b/c", "ab", "/c"},
		{"host without that path falls back", "example.com", "/z", "", ""},
		{"address of version 6", "[::1]:8082", "/a/", "a", "/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, ok := tab.Lookup([]byte(c.host), []byte(c.path))
			if ok != (c.want != "") || m.Value != c.want {
				t.Fatalf("got %q, %v; want %q", m.Value, ok, c.want)
			}
			if ok && c.path[m.Rest:] != c.info {
				t.Errorf("path info %q, want %q", c.path[m.Rest:], c.info)
			}
		})
	}
}

func TestBuilder_ConflictIsDecidedByIDAndHealed(t *testing.T) {
	t.Parallel()
	route := table.Route{Path: "/same/"}
	for _, order := range [][]string{{"x", "y"}, {"y", "x"}} {
		b := table.NewBuilder[string]()
		b.Apply([]table.Change[string]{{ID: order[0], Value: order[0], Routes: []table.Route{route}}})
		tab, conflicts := b.Apply([]table.Change[string]{{ID: order[1], Value: order[1], Routes: []table.Route{route}}})
		if m, _ := tab.Lookup(nil, []byte("/same/")); m.Value != "x" {
			t.Errorf("order %v: served by %q, want x", order, m.Value)
		}
		if diff := cmp.Diff([]table.Conflict{{Route: route, Winner: "x", Loser: "y"}}, conflicts); diff != "" {
			t.Errorf("conflicts (-want +got):\n%s", diff)
		}
		tab, _ = b.Apply([]table.Change[string]{{ID: "x"}})
		if m, _ := tab.Lookup(nil, []byte("/same/")); m.Value != "y" {
			t.Errorf("order %v: after the winner went, served by %q, want y", order, m.Value)
		}
	}
}

func TestRoute_Check(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "/", "a/", "/a", "/a//b/", "/" + strings.Repeat("s/", 32)} {
		if err := (table.Route{Path: bad}).Check(); (err != nil) != (bad != "/") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// naive is spec 1.4 read aloud, over every route.
func naive(routes map[string][]table.Route, host, path string) (id, stored string) {
	bestHosted := false
	for api, rs := range routes {
		for _, r := range rs {
			if r.Host != "" && !strings.EqualFold(r.Host, host) {
				continue
			}
			if !strings.HasPrefix(path, r.Path) && path != strings.TrimSuffix(r.Path, "/") {
				continue
			}
			hosted := r.Host != ""
			better := id == "" || hosted && !bestHosted || hosted == bestHosted && (len(r.Path) > len(stored) || r.Path == stored && api < id)
			if better {
				id, stored, bestHosted = api, r.Path, hosted
			}
		}
	}
	return id, stored
}

func TestTable_AgreesWithNaiveModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.SampledFrom([]string{"a", "b", "ab", "c", "A"})
		path := rapid.Custom(func(t *rapid.T) string {
			p := strings.Join(rapid.SliceOfN(segment, 0, 4).Draw(t, "segments"), "/")
			if p == "" {
				return "/"
			}
			return "/" + p + "/"
		})
		route := rapid.Custom(func(t *rapid.T) table.Route {
			return table.Route{Host: rapid.SampledFrom([]string{"", "", "one", "two"}).Draw(t, "host"), Path: path.Draw(t, "path")}
		})
		b, model := table.NewBuilder[string](), map[string][]table.Route{}
		for range rapid.IntRange(1, 6).Draw(t, "updates") {
			var changes []table.Change[string]
			for range rapid.IntRange(1, 5).Draw(t, "changes") {
				id := fmt.Sprint("api", rapid.IntRange(0, 8).Draw(t, "id"))
				routes := rapid.SliceOfN(route, 0, 4).Draw(t, "routes")
				changes = append(changes, table.Change[string]{ID: id, Value: id, Routes: routes})
				model[id] = routes
			}
			tab, _ := b.Apply(changes)
			for range 10 {
				host := rapid.SampledFrom([]string{"", "one", "ONE", "two", "three"}).Draw(t, "request host")
				p := path.Draw(t, "request path")
				if rapid.Bool().Draw(t, "no slash") {
					p = strings.TrimSuffix(p, "/")
				}
				m, _ := tab.Lookup([]byte(host), []byte(p))
				id, stored := naive(model, host, p)
				if m.Value != id || m.ContextPath != stored {
					t.Fatalf("%s%s: got %q at %q, want %q at %q", host, p, m.Value, m.ContextPath, id, stored)
				}
			}
		}
	})
}

func TestTable_OldVersionsStay(t *testing.T) {
	t.Parallel()
	b := table.NewBuilder[int]()
	var versions []*table.Table[int]
	for v := range 50 {
		tab, _ := b.Apply([]table.Change[int]{{ID: "moving", Value: v, Routes: []table.Route{{Path: "/m/"}}}, {ID: fmt.Sprint(v), Value: v, Routes: []table.Route{{Path: fmt.Sprintf("/%d/", v)}}}})
		versions = append(versions, tab)
	}
	for v, tab := range versions {
		if m, _ := tab.Lookup(nil, []byte("/m/")); m.Value != v || tab.Len() != v+2 {
			t.Errorf("version %d: got %d of %d routes", v, m.Value, tab.Len())
		}
	}
}

func fill(n int) (*table.Builder[*int], *table.Table[*int], [][]byte) {
	b := table.NewBuilder[*int]()
	changes, paths := make([]table.Change[*int], n), make([][]byte, n)
	for i := range n {
		p := fmt.Sprintf("/team-%d/api-%d/", i%17, i)
		changes[i] = table.Change[*int]{ID: fmt.Sprint(i), Value: new(int), Routes: []table.Route{{Path: p}}}
		paths[i] = []byte(p + "orders/1")
	}
	tab, _ := b.Apply(changes)
	return b, tab, paths
}

func TestTable_LookupAllocatesNothing(t *testing.T) {
	_, tab, paths := fill(100)
	host := []byte("Gateway.Example.com:8082")
	if n := testing.AllocsPerRun(100, func() { tab.Lookup(host, paths[7]) }); n != 0 {
		t.Errorf("%v allocations per lookup", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		_, tab, paths := fill(n)
		r := rand.New(rand.NewPCG(1, 2))
		r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		for _, spread := range []int{10, n} {
			b.Run(fmt.Sprintf("apis=%d/asked=%d", n, spread), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, ok := tab.Lookup(nil, paths[i%spread]); !ok {
						b.Fatal("not found")
					}
				}
			})
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("apis=%d", n), func(b *testing.B) {
			builder, _, _ := fill(n)
			change := []table.Change[*int]{{ID: "3", Value: new(int), Routes: []table.Route{{Path: "/team-3/api-3/"}}}}
			b.ReportAllocs()
			for b.Loop() {
				builder.Apply(change)
			}
		})
	}
	b.Run("cold=10000", func(b *testing.B) {
		for b.Loop() {
			fill(10_000)
		}
	})
}
