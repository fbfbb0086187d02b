package xmlthreatprotection

import "testing"

// FuzzCheck: nothing panics or takes for ever, whatever a body holds.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`<a b="c">x<d/></a>`, `<!DOCTYPE a [<!ENTITY x "&y;"><!ENTITY y "&x;">]><a>&x;</a>`, `<!DOCTYPE a SYSTEM "x"><a/>`, `</a>`, `<a><!ENTITY`} {
		f.Add([]byte(seed))
	}
	unlimited := &policy{Config{-1, -1, -1, -1, -1, -1, -1, -1, -1, true}}
	f.Fuzz(func(t *testing.T, data []byte) {
		strict := &policy{*defaults()}
		if key, _ := strict.check(data); key == "" {
			if key, err := unlimited.check(data); key != "" {
				t.Errorf("refused without limits alone: %s %v", key, err)
			}
		}
	})
}
