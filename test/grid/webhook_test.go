package grid

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/qos/judge"
)

// TestReceiver_RefusesAShareOfItsCalls: what it answers with 503 is delivered only where the level repeats nothing.
func TestReceiver_RefusesAShareOfItsCalls(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]int{"none": 200, "at-most-once": 200, "auto": 198, "at-least-once": 198} {
		r, err := newRecorder(filepath.Join(t.TempDir(), "history.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		c := Cell{Entrypoint: "webhook", Endpoint: "kafka", Level: level, Direction: Subscribe}
		run := &run{cell: c, record: r, topic: &kafkaTopic{}, watched: true}
		run.slow.Store(true)
		s := &session{run: run, as: party{self: judge.Event{Kind: judge.Subscribed, Subscriber: "client", Level: level}}}
		d := &receiver{ctx: t.Context(), session: s}
		refused := 0
		call := func(text string) int {
			w := httptest.NewRecorder()
			d.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text)))
			return w.Code
		}
		for n := range int64(2 * refuseEvery) {
			switch code := call(string(body(identity{"k", n}, plainSize))); code {
			case http.StatusServiceUnavailable:
				refused++
			case http.StatusNoContent:
			default:
				t.Errorf("%s: answered %d", level, code)
			}
		}
		if got := len(r.got); got != want || refused != 2 {
			t.Errorf("%s: %d delivered, %d refused; want %d and 2", level, got, refused, want)
		}
		if code := call("from somebody else"); code != http.StatusInternalServerError {
			t.Errorf("%s: a message that nobody wrote is answered %d", level, code)
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
	}
}
