package ftl_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policies/assigncontent/ftl"
	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

// model is a document whose members are variables.
type model struct {
	root  *jsondoc.Object
	paths [][]string
}

func (m *model) resolve(path []string) (id, taken int, err error) {
	if _, ok := m.root.Get(path[0]); !ok {
		return 0, 0, fmt.Errorf("%s is not a variable", path[0])
	}
	m.paths = append(m.paths, path[:min(2, len(path))])
	return len(m.paths) - 1, min(2, len(path)) - 1, nil
}

func (m *model) Lookup(id int) (any, error) {
	v, _ := m.root.Get(m.paths[id][0])
	if len(m.paths[id]) == 2 {
		o, ok := v.(*jsondoc.Object)
		if !ok {
			return nil, errors.New("no members")
		}
		v, _ = o.Get(m.paths[id][1])
	}
	return ftl.FromJSON(v), nil
}

func newModel(t testing.TB) *model {
	t.Helper()
	text, err := os.ReadFile("testdata/model.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsondoc.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return &model{root: doc.(*jsondoc.Object)}
}

// TestTemplate_AsFreeMarker: the outputs are those of FreeMarker 2.3.30 itself, with its English locale.
func TestTemplate_AsFreeMarker(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Template string
		Want     string
		Fails    bool
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		m := newModel(t)
		parsed, err := ftl.Parse(c.Template, m.resolve)
		var got []byte
		if err == nil {
			got, err = parsed.Render(nil, m)
		}
		if (err != nil) != c.Fails || string(got) != c.Want && !c.Fails {
			t.Errorf("%s\ngot  %q, %v\nwant %q, fails %v", c.Template, got, err, c.Want, c.Fails)
		}
	}
	if len(cases) < 70 {
		t.Errorf("%d cases", len(cases))
	}
}

// TestParse_Refuses: what is not known is named, with its place.
func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a\n  <#macro x>":                        "2:3: the directive <#macro> is not supported",
		"<@x/>":                                  "1:1: <@...> is not supported",
		"#{1}":                                   "1:1: #{...} is not supported",
		"${message.n?api}":                       "1:13: the built-in ?api is not supported",
		"${message.content.trim()}":              "1:23: calls of methods are not supported",
		"${x}":                                   "1:4: x is not a variable",
		"<#include 'x'>":                         "1:1: the directive <#include> is not supported",
		"${.now}":                                "1:3: special variables (.now) are not supported",
		"${1":                                    "1:3: \"}\" is missing",
		"<#if true>":                             "1:11: a directive is not closed",
		"</#if>":                                 "1:1: </#if> closes nothing",
		"<#else>":                                "1:1: <#else> stands alone",
		"<#break>":                               "1:1: <#break> stands outside",
		"<#list message.list>":                   "\"as\" and a variable's name are missing",
		"${1?left_pad(1,2,3)}":                   "?left_pad takes 1 to 2 arguments, not 3",
		"${message.n?index}":                     "?index needs the variable of a list",
		"${" + strings.Repeat("(", 100) + "1}":   "\"}\" is missing",
		strings.Repeat("<#if true>", 100):        "are more than 64 levels deep",
		"${" + strings.Repeat("!", 500) + "1}":   "expressions are more than 64 levels deep",
		strings.Repeat("x", 300<<10):             "more than 262144 bytes",
		"<#if true><#else>a<#elseif true></#if>": "stands behind <#else>",
	} {
		_, err := ftl.Parse(text, newModel(t).resolve)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", text, err, want)
		}
	}
}

// TestRender_Limits: a template cannot take for ever, nor all memory.
func TestRender_Limits(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"<#list 1..999 as a><#list 1..999 as b><#list 1..999 as c></#list></#list></#list>",
		"<#list 1..99999 as a><#list 1..99999 as b></#list></#list>",
		"<#assign s='0123456789'><#list 1..60 as i><#assign s = s + s></#list>",
		"<#assign n=3><#list 1..60 as i><#assign n = n * n></#list>",
		"<#assign l=[1,2]><#list 1..60 as i><#assign l = l + l></#list>",
		"<#list 1..999999 as i></#list>",
		"<#assign s='0123456789'?left_pad(1000000)><#list 1..100 as i>${s}</#list>",
		"<#assign s='a'?left_pad(1000000,'a')>${s?replace('a',s)}",
	} {
		m := newModel(t)
		parsed, err := ftl.Parse(text, m.resolve)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := parsed.Render(nil, m); !errors.Is(err, ftl.ErrLimit) {
			t.Errorf("%s: %d bytes, %v", text, len(out), err)
		}
	}
}

// FuzzParse: no template ends otherwise than with an output or an error.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"${message.n!1}", "<#list 1..2 as x>${x?index}<#sep>,</#list>", "<#assign a=1 b>", "${\"a${1}b\"}", "<#switch 1><#case 1></#switch>",
		"${message.content?eval.tags[0..1]?join(',')}", "<#noparse></#noparse>", "${'a'?right_pad(3,'xy')}"} {
		f.Add(s)
	}
	m := newModel(f)
	f.Fuzz(func(t *testing.T, text string) {
		m := &model{root: m.root}
		parsed, err := ftl.Parse(text, m.resolve)
		if err != nil {
			return
		}
		_, _ = parsed.Render(nil, m)
	})
}
