package judge_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/qos/judge"
)

var update = flag.Bool("update", false, "write the golden files")

const golden = "testdata/history.golden"

// sample has every kind and every field.
func sample(t testing.TB) []judge.Event {
	events := history(t, log+"- r 0; sub at-least-once A@0 *@7; d x 0 A@0; a x 0; a A@1; c A@1; gap A 1 3; gap; dis; res A@3; d x 2")
	for i := range events {
		switch events[i].Kind {
		case judge.Subscribed:
			events[i].Rules = judge.Loss | judge.FalseRefusal
		case judge.Gap:
			events[i].Reason = "slow-client"
		}
	}
	return events
}

func encode(t testing.TB, events []judge.Event) []byte {
	t.Helper()
	var out []byte
	for i := range events {
		var err error
		if out, err = judge.Append(out, &events[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestHistory_Golden(t *testing.T) {
	t.Parallel()
	events := sample(t)
	text := encode(t, events)
	if *update {
		if err := os.WriteFile(golden, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var back []judge.Event
	if err := judge.Read(bytes.NewReader(want), func(e *judge.Event) error { back = append(back, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, back); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
}

func TestRead_Refuses(t *testing.T) {
	t.Parallel()
	const good = `{"event":"produced","key":"k"}` + "\n"
	for _, c := range []struct{ name, text, want string }{
		{"no JSON", good + "produced", "line 2: "},
		{"two on a line", good + "\n" + good[:len(good)-1] + good, "line 3: "},
		{"unknown field", `{"event":"produced","colour":1}`, "line 1: "},
		{"unknown kind", `{"event":"sold"}`, `kind "sold"`},
		{"unknown rule", `{"event":"subscribed","subscriber":"s","rules":["law"]}`, `rule "law"`},
		{"no kind", `{}`, "kind 0"},
		{"endless line", good + strings.Repeat(" ", 2<<20), "line 2: "},
	} {
		err := judge.Read(strings.NewReader(c.text), judge.New().Add)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := judge.Append(nil, &judge.Event{}); !errors.Is(err, judge.ErrEvent) {
		t.Errorf("an event of no kind was written: %v", err)
	}
}

// FuzzRead holds that whatever is read can be written and read again as the same, and that judging it does not panic.
func FuzzRead(f *testing.F) {
	f.Add(encode(f, sample(f)))
	f.Add([]byte(`{"event":"gap","subscriber":"s"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		j := judge.New()
		var first []judge.Event
		_ = judge.Read(bytes.NewReader(text), func(e *judge.Event) error {
			first = append(first, *e)
			_ = j.Add(e)
			return nil
		})
		_ = j.Verdict().Err()
		var second []judge.Event
		if err := judge.Read(bytes.NewReader(encode(t, first)), func(e *judge.Event) error { second = append(second, *e); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("-first +second:\n%s", diff)
		}
	})
}
