package controlnode

import (
	"fmt"

	"github.com/sluice-gateway/sluice/controlplane"
	"github.com/sluice-gateway/sluice/controlplane/push"
	"github.com/sluice-gateway/sluice/proto/bundle"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// source shows the replicated state to the push, as bundles. It implements push.Source and push.Incremental.
type source struct{ *controlplane.Source }

// Snapshot implements push.Source.
func (s source) Snapshot() push.Snapshot {
	loaded := s.CaughtUp() // before the state, which is then at least as new
	all := s.Source.Snapshot()
	return push.Snapshot{At: wire.At{Revision: all.Revision}, Loaded: loaded, Deployments: deployments(all)}
}

// Since implements push.Incremental.
func (s source) Since(at wire.At) (push.Changes, bool) {
	c, ok := s.Source.Since(at.Revision)
	if !ok {
		return push.Changes{}, false
	}
	out := push.Changes{At: wire.At{Epoch: at.Epoch, Revision: c.Revision}, Changed: deployments(c)}
	for _, id := range c.RemovedAPIs {
		out.Removed = append(out.Removed, push.Key{Item: wire.ItemAPI, ID: id})
	}
	for _, id := range c.RemovedSubscriptions {
		out.Removed = append(out.Removed, push.Key{Item: wire.ItemSubscription, ID: id})
	}
	return out, true
}

func deployments(c controlplane.Changes) []push.Deployment {
	out := make([]push.Deployment, 0, len(c.APIs)+len(c.Subscriptions))
	for _, a := range c.APIs {
		b, err := bundle.Encode(a.Organization, a.Environment, a.DeployedAt, a.Definition)
		out = append(out, push.Deployment{
			Key: push.Key{Item: wire.ItemAPI, ID: a.ID}, Revision: a.Revision, Tags: a.Tags, Definition: orText(b, err),
		})
	}
	for _, s := range c.Subscriptions {
		b, err := bundle.EncodeSubscription(s.Bundle())
		out = append(out, push.Deployment{
			Key: push.Key{Item: wire.ItemSubscription, ID: s.ID}, Revision: s.Revision, Tags: s.Tags, Definition: orText(b, err),
		})
	}
	return out
}

// orText is a bundle, or where there is none what a worker reports in its place: what was stored is valid JSON, so that
// does not come about.
func orText(b []byte, err error) []byte {
	if err != nil {
		return fmt.Appendf(nil, "%v", err)
	}
	return b
}

// Leader implements push.Source.
func (s source) Leader() push.Leadership {
	leads, term := s.Source.Leader()
	return push.Leadership{Leader: leads, Term: term}
}

var _ push.Incremental = source{}
