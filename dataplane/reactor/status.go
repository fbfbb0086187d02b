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

// record keeps the outcome of an update for those who ask. served are the deployments that were served already.
func (l *loop) record(u Update, wanted []Deployment, built []outcome, served []Result, removed []string, conflicts []table.Conflict) {
	counters := l.cfg.Counters
	counters.Revision.Store(u.Revision)
	counters.APIs.Store(int64(len(l.live)))
	counters.Conflicts.Add(uint64(len(conflicts)))
	l.mu.Lock()
	defer l.mu.Unlock()
	touched := make(map[string]bool, len(wanted)+len(removed))
	for i, d := range wanted {
		touched[d.ID] = built[i].api != nil
		l.recordOne(d, built[i])
	}
	for _, res := range served {
		if s := l.states[res.ID]; s.State != res.State || s.Revision != res.Revision { // a later revision had failed and was taken back
			s.Result, s.Since = res, time.Now()
			l.states[res.ID] = s
		}
	}
	for _, id := range removed {
		touched[id] = true
		delete(l.states, id)
		counters.Forget(id)
	}
	l.recordConflicts(touched, conflicts)
}

func (l *loop) recordOne(d Deployment, o outcome) {
	s := Status{Result: o.result, DeployedAt: o.deployedAt, Since: time.Now()}
	if o.api != nil {
		s.Name, s.Routes, s.Warnings = o.api.Info.Name, o.api.Routes, o.api.Warnings
		for _, w := range s.Warnings {
			l.log.Warn("part of a definition has no effect", "api", d.ID, "revision", d.Revision, "warning", w)
		}
	} else if before, ok := l.states[d.ID]; ok { // what is served in its place
		s.Name, s.Routes, s.Conflicts = before.Name, before.Routes, before.Conflicts
	}
	l.states[d.ID] = s
}

// recordConflicts forgets the conflicts that a touched API was part of, and keeps the new ones.
func (l *loop) recordConflicts(touched map[string]bool, conflicts []table.Conflict) {
	for id := range l.conflicted {
		s, ok := l.states[id]
		s.Conflicts = slices.DeleteFunc(slices.Clone(s.Conflicts), func(c table.Conflict) bool { return touched[c.Winner] || touched[c.Loser] })
		if ok {
			l.states[id] = s
		}
		if len(s.Conflicts) == 0 {
			delete(l.conflicted, id)
		}
	}
	for _, c := range conflicts {
		l.log.Error("two APIs claim one path", "api", c.Winner, "loser", c.Loser, "path", c.Route.String())
		for _, id := range []string{c.Winner, c.Loser} {
			s := l.states[id]
			s.Conflicts = append(slices.Clip(s.Conflicts), c)
			l.states[id] = s
			l.conflicted[id] = struct{}{}
		}
	}
}
