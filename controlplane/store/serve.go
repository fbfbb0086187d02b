package store

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/peer"
)

const (
	// idlePeer is how long a peer's connection may stand without a request. Clients drop theirs earlier, see idleClient.
	idlePeer = 2 * time.Minute
	// maxAsk bounds how long one request is worked on, whatever its sender wishes.
	maxAsk = time.Minute
)

// servePeer answers one connection's requests, one at a time, until it ends.
func (s *Store) servePeer(conn net.Conn) {
	for {
		if conn.SetDeadline(time.Now().Add(idlePeer)) != nil {
			return
		}
		req := &peer.Request{}
		if readFrame(conn, req) != nil {
			return
		}
		if conn.SetDeadline(time.Now().Add(maxAsk+ioTimeout)) != nil {
			return
		}
		if writeFrame(conn, s.answer(req)) != nil {
			return
		}
	}
}

// answer works on one request.
func (s *Store) answer(req *peer.Request) *peer.Response {
	wait := time.Duration(req.GetTimeoutMs()) * time.Millisecond
	if wait <= 0 || wait > maxAsk {
		wait = maxAsk
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait) //nolint:contextcheck // its end is the connection's end or the deadline
	defer cancel()
	resp := &peer.Response{}
	var err error
	switch ask := req.GetAsk().(type) {
	case *peer.Request_Propose:
		if ask.Propose == nil {
			ask.Propose = &command.Command{}
		}
		resp.Result, err = s.Propose(ctx, ask.Propose)
	case *peer.Request_Read:
		resp.Index, err = s.ReadIndex(ctx)
	case *peer.Request_Join:
		err = s.AddVoter(ctx, Peer{ID: ask.Join.GetId(), Address: ask.Join.GetAddress()})
	case *peer.Request_Remove:
		err = s.Remove(ctx, ask.Remove.GetId())
	default:
		err = ErrRefused
	}
	if err != nil {
		resp.Failure, resp.Message = failure(err), err.Error()
		resp.Leader = s.Leadership().Address
	}
	return resp
}

// failure is an error's form on the wire; failureError is its inverse.
func failure(err error) peer.Failure {
	switch {
	case errors.Is(err, ErrNotLeader):
		return peer.Failure_FAILURE_NOT_LEADER
	case errors.Is(err, ErrRefused):
		return peer.Failure_FAILURE_REFUSED
	default:
		return peer.Failure_FAILURE_UNKNOWN
	}
}
