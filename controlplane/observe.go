package controlplane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-gateway/sluice/controlplane/rest"
	"github.com/sluice-gateway/sluice/controlplane/store"
)

// staleContact is how long a follower may be without word from its leader and be called well: an election takes up
// to 2.1 s (controlplane/store).
const staleContact = 5 * time.Second

// Health answers /_node/health of the node, for the admin port: raft, and the probes given.
func (n *Node) Health() http.Handler {
	probes := maps.Clone(n.deps.Probes)
	if probes == nil {
		probes = map[string]rest.Probe{}
	}
	probes["raft"] = func(context.Context) error { return raftHealth(n.store) }
	return rest.Health(probes)
}

func raftHealth(s *store.Store) error {
	l := s.Leadership()
	switch {
	case l.Leading && !l.Ready:
		return errors.New("leads, and is still applying what earlier leaders committed")
	case l.Leading:
		return nil
	case l.ID == "":
		return errors.New("the cluster has no leader that this node knows of")
	}
	st, err := s.Status()
	if err != nil {
		return err //nolint:wrapcheck // the store's own
	}
	if silent := time.Since(st.LastContact); silent > staleContact {
		return fmt.Errorf("the leader was last heard of %s ago", silent.Round(time.Second))
	}
	return nil
}

// observe registers the gauges of the replicated state.
func observe(m metric.Meter, s *store.Store) (metric.Registration, error) {
	var errs []error
	gauge := func(name, what string) metric.Int64ObservableGauge {
		g, err := m.Int64ObservableGauge("sluice_controlplane_"+name, metric.WithDescription(what))
		errs = append(errs, err)
		return g
	}
	leading := gauge("raft_leading", "1 where this node leads and is ready, else 0.")
	term := gauge("raft_term", "The raft term of this node.")
	applied := gauge("raft_applied_index", "The raft index of the last command that this node has applied.")
	rejected := gauge("raft_rejected_entries", "Log entries that could not be read.")
	apis := gauge("apis", "APIs that are stored.")
	revision := gauge("revision", "The raft index of the last change of what is deployed.")
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("make metrics: %w", err)
	}
	reg, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		st, l := s.State(), s.Leadership()
		var leads int64
		if l.Ready {
			leads = 1
		}
		for g, v := range map[metric.Int64ObservableGauge]int64{
			leading: leads, term: int64(l.Term), applied: int64(st.Index()), rejected: int64(st.Rejected()), //nolint:gosec // counters of a log
			apis: int64(st.Len()), revision: int64(st.Revision()), //nolint:gosec // counters of a log
		} {
			o.ObserveInt64(g, v)
		}
		return nil
	}, leading, term, applied, rejected, apis, revision)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return reg, nil
}
