package load

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestStamp_ReadsWhatItWrote(t *testing.T) {
	t.Parallel()
	p := make([]byte, 100)
	Fill(p)
	Stamp(p, 1234567890, 1763802000123456789)
	n, at, ok := ReadStamp(p)
	if n != 1234567890 || at != 1763802000123456789 || !ok || p[StampSize] != filler {
		t.Errorf("got %d, %d, %t from %q", n, at, ok, p)
	}
	for _, bad := range []string{"", "short", string(make([]byte, StampSize)), "00000000000000g00000000000000000"} {
		if _, _, ok := ReadStamp([]byte(bad)); ok {
			t.Errorf("%q was taken for a stamp", bad)
		}
	}
}

// A message that a JSON schema is to pass must be JSON, and be told apart all the same.
func TestStamp_InJSON(t *testing.T) {
	t.Parallel()
	p := Job{JSON: true, Size: 64}.body()
	Stamp(p, 42, 7)
	var document struct{ M string }
	if err := json.Unmarshal(p, &document); err != nil || len(document.M) < StampSize || len(p) != 64 {
		t.Errorf("%q: %v", p, err)
	}
	if n, at, ok := ReadStamp(p); n != 42 || at != 7 || !ok {
		t.Errorf("read %d, %d, %t of %q", n, at, ok, p)
	}
}

func TestSet_CountsAndMisses(t *testing.T) {
	t.Parallel()
	var sent, stored Set
	for i := range int64(200_000) {
		sent.Add(i)
		if i%1000 != 7 {
			stored.Add(i)
		}
	}
	for range 3 {
		if stored.Add(64) {
			t.Error("64 is new again")
		}
	}
	if sent.Len() != 200_000 || stored.Len() != 199_800 || stored.Again() != 3 || sent.Missing(&stored) != 200 || stored.Missing(&sent) != 0 {
		t.Errorf("sent %d, stored %d and %d again, missing %d", sent.Len(), stored.Len(), stored.Again(), sent.Missing(&stored))
	}
}

func TestPace_KeepsItsTimes(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	p := pace{start, 250}
	for n, want := range map[int64]time.Duration{0: 0, 1: 4 * time.Millisecond, 250: time.Second, 1_000_000: 4000 * time.Second} {
		if got := p.at(n).Sub(start); got != want {
			t.Errorf("message %d at %s, want %s", n, got, want)
		}
	}
}

func TestRun_RefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for _, job := range []Job{{Do: "dance"}, {Do: Post, Size: StampSize - 1}} {
		if _, err := Run(t.Context(), job, Tell{}); err == nil {
			t.Errorf("%+v was done", job)
		}
	}
}

// A histogram must not drop what is out of its bounds: the worst latencies are those that matter.
func TestRecord_KeepsTheWorst(t *testing.T) {
	t.Parallel()
	h := newHistogram()
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, time.Hour} {
		record(h, d)
	}
	l := summary(h)
	if l.Count != 4 || l.Max < float64(maxLatency)*0.999 || l.P50 > 1000 {
		t.Errorf("got %+v", l)
	}
	if summary(newHistogram()) != nil {
		t.Error("an empty histogram has a summary")
	}
}

func ExampleOutcome_PerSecond() {
	fmt.Println((&Outcome{Messages: 500, Seconds: 2}).PerSecond(), (&Outcome{}).PerSecond())
	// Output: 250 0
}
