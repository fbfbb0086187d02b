package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-gateway/sluice/controlplane/fsm"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
	"github.com/sluice-gateway/sluice/proto/management"
)

func (s *Server) registerReplays() {
	path, tag := subscriptionsPath+"/{subscription}/replays", tagSubscriptions
	register(s, operation{id: "createReplay", method: http.MethodPost, path: path, tag: tag, status: http.StatusCreated, body: management.NewReplay{}, bodyRequired: true,
		summary: "Deliver a part of the past again, beside the live delivery. One worker does."}, s.createReplay)
	register(s, operation{id: "listReplays", method: http.MethodGet, path: path, tag: tag, summary: "List a subscription's replays, the oldest first."}, s.listReplays)
	register(s, operation{id: "getReplay", method: http.MethodGet, path: path + "/{replay}", tag: tag, summary: "Read a replay."}, s.getReplay)
	register(s, operation{id: "deleteReplay", method: http.MethodDelete, path: path + "/{replay}", tag: tag, summary: "End a replay, or forget one that is over."}, s.deleteReplay)
}

// ReplayTarget is one replay of a subscription.
type ReplayTarget struct {
	SubscriptionTarget
	Replay string `path:"replay" maxLength:"128" doc:"Id of the replay"`
}

func (t ReplayTarget) findReplay(st *fsm.State) (*fsm.Replay, error) {
	_, sub, err := t.findSubscription(st)
	if err != nil {
		return nil, err
	}
	for i := range sub.Replays {
		if sub.Replays[i].ID == t.Replay {
			return &sub.Replays[i], nil
		}
	}
	p := problem(http.StatusNotFound, management.CodeReplayNotFound, "Replay ["+t.Replay+"] cannot be found.")
	p.Parameters = map[string]string{"replay": t.Replay}
	return nil, p
}

type replayOutput struct {
	Location string `header:"Location"`
	Body     management.Replay
}

func (s *Server) createReplay(ctx context.Context, in *subscriptionChange) (*replayOutput, error) {
	var body management.NewReplay
	if err := json.Unmarshal(requestOf(ctx).body, &body); err != nil {
		return nil, problem(http.StatusBadRequest, management.CodeDataInvalid, `The body must be JSON like {"from": "@2026-11-22T10:00:00Z"}`)
	}
	if found := checkReplay(body); len(found) > 0 {
		return nil, invalid(http.StatusBadRequest, "", found)
	}
	id := uuid.NewString()
	_, err := s.changeSubscription(ctx, in, func(_ *fsm.API, sub *fsm.Subscription) (*command.Command, error) {
		return &command.Command{Change: &command.Command_AddReplay{AddReplay: &command.AddReplay{
			SubscriptionId: sub.ID, ExpectVersion: sub.Version, ReplayId: id, From: body.From, Until: body.Until,
		}}}, nil
	})
	if err != nil {
		return nil, err
	}
	t := ReplayTarget{in.SubscriptionTarget, id}
	r, err := t.findReplay(s.deps.Replica.State())
	if err != nil { // taken back in the same moment
		return nil, err
	}
	return &replayOutput{
		Location: in.location() + "/subscriptions/" + url.PathEscape(in.Subscription) + "/replays/" + id, Body: viewReplay(*r),
	}, nil
}

// checkReplay holds the ends of a replay against the grammar of cursors, as far as it needs no endpoint.
func checkReplay(b management.NewReplay) (found apidef.Problems) {
	if b.From == "" {
		found = append(found, bad("/from", "is required: a message id, earliest, or @ and a time, e.g. @2026-11-22T10:00:00Z"))
	}
	for _, end := range []struct{ at, cursor string }{{"/from", b.From}, {"/until", b.Until}} {
		text, timed := strings.CutPrefix(end.cursor, "@")
		if _, err := time.Parse(time.RFC3339, text); timed && err != nil {
			found = append(found, bad(end.at, "must have a time behind @, e.g. @2026-11-22T10:00:00Z"))
		}
		if len(end.cursor) > maxText {
			found = append(found, bad(end.at, "must be at most 4 KiB of text"))
		}
	}
	if b.From == "latest" {
		found = append(found, bad("/from", "is the live end, from where there is nothing to deliver again; give a message id, earliest, or @ and a time"))
	}
	if b.Until == "earliest" || b.Until == "latest" {
		found = append(found, bad("/until", "must be a message id, or @ and a time; leave it out to end with what is there now"))
	}
	return found
}

type replaysOutput struct {
	Body struct {
		Data []management.Replay `json:"data"`
	}
}

func (s *Server) listReplays(ctx context.Context, in *getSubscriptionInput) (*replaysOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	_, sub, err := in.findSubscription(st)
	if err != nil {
		return nil, err
	}
	out := &replaysOutput{}
	out.Body.Data = []management.Replay{}
	for _, r := range sub.Replays {
		out.Body.Data = append(out.Body.Data, viewReplay(r))
	}
	return out, nil
}

type getReplayInput struct {
	ReplayTarget
	Consistency
}

func (s *Server) getReplay(ctx context.Context, in *getReplayInput) (*replayOutput, error) {
	st, err := s.state(ctx, in.Consistency)
	if err != nil {
		return nil, err
	}
	r, err := in.findReplay(st)
	if err != nil {
		return nil, err
	}
	return &replayOutput{Body: viewReplay(*r)}, nil
}

type deleteReplayInput struct {
	ReplayTarget
	Condition
}

func (s *Server) deleteReplay(ctx context.Context, in *deleteReplayInput) (*struct{}, error) {
	_, err := s.changeSubscription(ctx, &subscriptionChange{in.SubscriptionTarget, in.Condition}, func(_ *fsm.API, sub *fsm.Subscription) (*command.Command, error) {
		return &command.Command{Change: &command.Command_EndReplay{EndReplay: &command.EndReplay{
			SubscriptionId: sub.ID, ReplayId: in.Replay, Cancel: true,
		}}}, nil
	})
	return nil, err
}
