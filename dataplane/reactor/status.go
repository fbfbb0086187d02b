package reactor

import (
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/dataplane/table"
)

// Status is how things stand with one API.
type Status struct {
	Result
	Name       string
	Routes     []table.Route // of what is served
	Warnings   []string
	Conflicts  []table.Conflict // routes of it that another API claims too
	DeployedAt time.Time
	Since      time.Time // when this state began
}

// States returns how things stand with every API, in the order of their ids.
func (r *Reactor) States() []Status {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]Status, 0, len(r.states))
	for _, s := range r.states {
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y Status) int { return strings.Compare(x.ID, y.ID) })
	return out
}

// State returns how things stand with one API.
func (r *Reactor) State(id string) (Status, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s, ok := r.states[id]
	return s, ok
}

// record keeps the outcome of an update for those who ask.
func (l *loop) record(u Update, wanted []Deployment, built []outcome, removed []string, conflicts []table.Conflict) {
	counters := l.cfg.Counters
	counters.Revision.Store(u.Revision)
	counters.APIs.Store(int64(len(l.live)))
	counters.Conflicts.Add(uint64(len(conflicts)))
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, d := range wanted {
		s := Status{Result: built[i].result, DeployedAt: d.DeployedAt, Since: time.Now()}
		if api := built[i].api; api != nil {
			s.Name, s.Routes, s.Warnings = api.Info.Name, api.Routes, api.Warnings
			for _, w := range api.Warnings {
				l.log.Warn("part of a definition has no effect", "api", d.ID, "revision", d.Revision, "warning", w)
			}
		} else if before, ok := l.states[d.ID]; ok { // what is served in its place
			s.Name, s.Routes, s.Conflicts = before.Name, before.Routes, before.Conflicts
		}
		l.states[d.ID] = s
	}
	for _, id := range removed {
		delete(l.states, id)
		counters.Forget(id)
	}
	for _, c := range conflicts {
		l.log.Error("two APIs claim one path", "api", c.Winner, "loser", c.Loser, "path", c.Route.String())
		for _, id := range []string{c.Winner, c.Loser} {
			if s, ok := l.states[id]; ok {
				s.Conflicts = append(slices.Clip(s.Conflicts), c)
				l.states[id] = s
			}
		}
	}
}
