package policies

import (
	"context"
	"errors"
	"sync"
)

// Trial is the run of a draft that nobody but its author may notice. The steps of such a run find it in their context: what
// would leave a trace outside of the run (a call, a file, a counter that others share) is noted and not done.
type Trial struct {
	mu    sync.Mutex
	notes []string // guarded by mu
}

// ErrTrial is what a call gives that is noted instead of made.
var ErrTrial = errors.New("is not done in a trial")

// maxNotes bounds what a trial keeps between two calls of Notes.
const maxNotes = 100

// Note keeps what would have been done, in words for people.
func (t *Trial) Note(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.notes) < maxNotes {
		t.notes = append(t.notes, what)
	}
}

// Notes returns what was noted since it was last asked.
func (t *Trial) Notes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.notes
	t.notes = nil
	return out
}

type trialKey struct{}

// WithTrial makes the context of a trial.
func WithTrial(ctx context.Context, t *Trial) context.Context {
	return context.WithValue(ctx, trialKey{}, t)
}

// TrialOf returns the trial that a step runs in; nil: the run is real.
func TrialOf(ctx context.Context) *Trial {
	t, _ := ctx.Value(trialKey{}).(*Trial)
	return t
}
