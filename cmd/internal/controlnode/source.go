package controlnode

import (
	"fmt"

	"github.com/sluice-gateway/sluice/controlplane"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/proto/bundle"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// source shows the replicated state to the push, as bundles. It implements push.Source.
type source struct {
	*controlplane.Source
	// bundles are those of the last Snapshot, by API: what has not changed is not encoded again. Snapshot alone uses it.
	bundles map[string]push.Deployment
}

// Snapshot implements push.Source.
func (s *source) Snapshot() push.Snapshot {
	loaded := s.CaughtUp() // before the state, which is then at least as new
	revision, deployed := s.Source.Snapshot()
	out := push.Snapshot{At: wire.At{Revision: revision}, Loaded: loaded, Deployments: make([]push.Deployment, 0, len(deployed))}
	bundles := make(map[string]push.Deployment, len(deployed))
	for _, a := range deployed {
		d, ok := s.bundles[a.ID]
		if !ok || d.Revision != a.Revision {
			d = deployment(a)
		}
		bundles[a.ID] = d
		out.Deployments = append(out.Deployments, d)
	}
	s.bundles = bundles
	return out
}

func deployment(a controlplane.Deployed) push.Deployment {
	b, err := bundle.Encode(a.Organization, a.Environment, a.DeployedAt, a.Definition)
	if err != nil { // what was deployed is valid JSON; a worker reports what is not
		b = fmt.Appendf(nil, "%v", err)
	}
	return push.Deployment{Key: push.Key{Item: wire.ItemAPI, ID: a.ID}, Revision: a.Revision, Tags: a.Tags, Definition: b}
}

// Leader implements push.Source.
func (s *source) Leader() push.Leadership {
	leads, term := s.Source.Leader()
	return push.Leadership{Leader: leads, Term: term}
}
