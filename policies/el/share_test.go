package el_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/policies/el"
)

// One template serves many goroutines, each with a scope of its own and patterns of its own.
func TestTemplate_SharedByGoroutines(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, "{#t matches #pattern and #jsonPath(#json, #path) == 5 and #t.replaceAll(#pattern, 'x') == 'x'}")
	missing := parse(t, "{#message.headers['Nope'][0] == 'a'}")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			s := newScope()
			for i := range 200 {
				s.Other["t"] = el.OfText(fmt.Sprint("t", i, "-", g))
				s.Other["pattern"] = el.OfText(fmt.Sprint("t", i, "-[0-9]+"))
				s.Other["path"] = el.OfText([]string{"$.a.b", "$['a']['b']"}[i%2])
				if ok, err := tmpl.EvalBool(s); !ok || err != nil {
					t.Errorf("%v, %v", ok, err)
				}
				if _, err := missing.EvalBool(s); codeOf(err) != el.CodeNull {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
