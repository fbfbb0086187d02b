package admin

import (
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/dataplane/dispatch"
)

// subscription is how a push subscription, or a replay of one, is shown.
type subscription struct {
	ID           string    `json:"id"`
	Replay       string    `json:"replay,omitempty"`
	State        string    `json:"state"`
	FailureCause string    `json:"failureCause,omitempty"`
	Since        time.Time `json:"since"`
}

// attempt is how an attempt to deliver is shown.
type attempt struct {
	At       time.Time  `json:"at"`
	TookMS   float64    `json:"tookMs"`
	Message  string     `json:"message"`
	Number   int        `json:"number"`
	Status   int        `json:"status,omitempty"`
	Error    string     `json:"error,omitempty"`
	Next     *time.Time `json:"next,omitempty"`
	Outcome  string     `json:"outcome"`
	Messages int        `json:"messages"`
	Bytes    int        `json:"bytes"`
}

func shownSubscription(s dispatch.State) subscription {
	return subscription{ID: s.ID, Replay: s.Replay, State: s.State.String(), FailureCause: s.FailureCause, Since: s.Since}
}

func shownAttempt(a connectors.Attempt) attempt {
	out := attempt{At: a.At, TookMS: float64(a.Took) / float64(time.Millisecond), Message: a.Message, Number: a.Number, Status: a.Status,
		Error: a.Err, Outcome: a.Outcome.String(), Messages: max(a.Messages, 1), Bytes: a.Bytes}
	if !a.Next.IsZero() {
		out.Next = &a.Next
	}
	return out
}

// subscriptions shows what runs here.
func (s *Server) subscriptions(w http.ResponseWriter, _ *http.Request) {
	states := s.deps.Subscriptions.States()
	out := make([]subscription, 0, len(states))
	for _, st := range states {
		out = append(out, shownSubscription(st))
	}
	write(w, http.StatusOK, out)
}

// subscription shows one with its replays and its last attempts.
func (s *Server) subscription(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	out := struct {
		Runs     []subscription `json:"runs"`
		Attempts []attempt      `json:"attempts"`
	}{[]subscription{}, []attempt{}}
	for _, st := range s.deps.Subscriptions.States() {
		if st.ID == id {
			out.Runs = append(out.Runs, shownSubscription(st))
		}
	}
	for _, a := range s.deps.Subscriptions.Attempts(id) {
		out.Attempts = append(out.Attempts, shownAttempt(a))
	}
	if len(out.Runs)+len(out.Attempts) == 0 {
		http.NotFound(w, r)
		return
	}
	write(w, http.StatusOK, out)
}
