package rest

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-gateway/sluice/controlplane/store"
	"github.com/sluice-gateway/sluice/proto/management"
)

const tagCluster = "Cluster"

func (s *Server) registerCluster() {
	register(s, operation{id: "listWorkers", method: http.MethodGet, path: "/workers", tag: tagCluster, summary: "List the workers, and what each serves and cannot serve."}, s.listWorkers)
	register(s, operation{id: "getCluster", method: http.MethodGet, path: "/cluster", tag: tagCluster, summary: "Show the control plane as the answering node sees it."}, s.getCluster)
	register(s, operation{id: "addMember", method: http.MethodPut, path: "/cluster/members/{member}", tag: tagCluster, summary: "Make a node a voting member."}, s.addMember)
	register(s, operation{id: "removeMember", method: http.MethodDelete, path: "/cluster/members/{member}", tag: tagCluster, summary: "End a node's membership."}, s.removeMember)
}

type workersOutput struct {
	Body struct {
		Data []management.Worker `json:"data"`
	}
}

func (s *Server) listWorkers(context.Context, *struct{}) (*workersOutput, error) {
	out := &workersOutput{}
	out.Body.Data = append([]management.Worker{}, s.deps.Rollout.Workers()...)
	return out, nil
}

type clusterOutput struct {
	Body management.Cluster
}

func (s *Server) getCluster(context.Context, *struct{}) (*clusterOutput, error) {
	status, err := s.deps.Cluster.Status()
	if err != nil {
		return nil, s.fail(err)
	}
	st := s.deps.Replica.State()
	out := &clusterOutput{Body: management.Cluster{
		Node: status.NodeID, State: status.State, Leader: status.LeaderID, Term: status.Term, LastIndex: status.LastIndex, CommitIndex: status.CommitIndex,
		Applied: st.Index(), Revision: st.Revision(), APIs: st.Len(), Rejected: st.Rejected(), Members: []management.Member{},
	}}
	for _, m := range status.Members {
		out.Body.Members = append(out.Body.Members, management.Member(m))
	}
	return out, nil
}

type memberInput struct {
	Member string `path:"member" maxLength:"128" doc:"Id of the node"`
}

type addMemberInput struct {
	memberInput
	Address string `query:"address" required:"true" doc:"Where its peers reach the node, host:port"`
}

func (s *Server) addMember(ctx context.Context, in *addMemberInput) (*struct{}, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	return nil, s.membership(s.deps.Cluster.AddMember(ctx, in.Member, in.Address))
}

func (s *Server) removeMember(ctx context.Context, in *memberInput) (*struct{}, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	return nil, s.membership(s.deps.Cluster.RemoveMember(ctx, in.Member))
}

func (s *Server) membership(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrRefused):
		return badParameter("address", "must be host:port, and the id of the node not empty")
	default:
		return s.fail(err)
	}
}
