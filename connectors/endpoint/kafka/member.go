package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/sluice-gateway/sluice/qos/message"
)

// Timings of a membership. The session is the shortest that brokers allow by default (group.min.session.timeout.ms), so that
// the partitions of a worker that died are with another soon.
const (
	sessionTimeout    = 6 * time.Second
	heartbeatInterval = 1500 * time.Millisecond
	rebalanceTimeout  = 30 * time.Second // more than revoked takes
)

// offsetCommitByName is the last version of OffsetCommit that names topics. Later ones give their ids, which the member's
// client knows only of topics that it fetches, and it fetches nothing.
const offsetCommitByName = 9

// member is a stream's membership in a consumer group: by default in the classic protocol, whose commits are fenced by
// generation on every broker in use, else in that of KIP-848, which fences by the member's epoch. The client fetches no
// message; those come from the shared reader. It is a book.
type member struct {
	c        *counted
	instance *string
	cl       *kgo.Client // set before the client does anything
}

// errNoMember: there is no membership at the moment in whose name to save.
var errNoMember = errors.New("not a member of the group at the moment")

// join begins the membership; the first partitions come later, to c.seat. instance: KIP-345; empty: a dynamic member.
func (m *member) join(instance string) error {
	c := m.c
	f := c.place.r.f
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.OffsetCommit.Int16(), offsetCommitByName)
	opts := append(f.e.clientOptions("member"),
		kgo.MaxVersions(versions),
		kgo.ConsumerGroup(c.group),
		kgo.DisableAutoCommit(),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.OnOffsetsFetched(m.fetched),
		kgo.AdjustFetchOffsetsFn(fetchNothing),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, parts map[string][]int32) { c.revoked(ctx, parts) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) { c.lost(parts) }),
		kgo.WithHooks(m),
		kgo.ConsumeTopics(f.names()...),
	)
	if f.e.set.nextGen {
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	} else {
		// Ours agree on cooperative-sticky. range is for consumers of another make in the same group, which would otherwise
		// be refused or refuse us; the group then rebalances eagerly.
		opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer(), kgo.RangeBalancer()),
			kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeatInterval))
	}
	// KIP-848 keeps a static member out while another of its name is there, where the classic protocol puts it in that one's
	// place: a worker that comes back would wait for its own session to end.
	if instance != "" && !f.e.set.nextGen {
		m.instance = &instance
		opts = append(opts, kgo.InstanceID(instance))
	}
	_, err := kgo.NewClient(opts...)
	return err
}

// OnNewClient implements kgo.HookNewClient.
func (m *member) OnNewClient(cl *kgo.Client) { m.cl = cl }

// run takes what the client has to say about its group, which it keeps until somebody does. What matters of it comes to
// OnGroupManageError too.
func (m *member) run(ctx context.Context) {
	for ctx.Err() == nil {
		if m.cl.PollFetches(ctx).IsClientClosed() {
			return
		}
	}
}

// fetchNothing assigns no partition to the client's own fetching.
func fetchNothing(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	return nil, nil
}

// fetched is told of the group's positions in partitions that it gave us. An error makes the client ask again.
func (m *member) fetched(ctx context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	given := map[place]spot{}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return err
				}
				at := spot{next: p.Offset}
				if p.Metadata != nil {
					at.text = *p.Metadata
				}
				given[place{t.Topic, p.Partition}] = at
			}
		}
	}
	if len(given) == 0 {
		return nil
	}
	return m.c.seat(ctx, given)
}

// OnGroupManageError implements kgo.HookGroupManageError: a session is over. Most are followed by another.
func (m *member) OnGroupManageError(err error) {
	if f := sessionFailure(err); f != nil {
		m.c.fail(f)
		_ = m.cl.LeaveGroupContext(over) // begins it and waits for nothing; without it the client would join again, and fence who replaced it
	}
}

// sessionFailure says which ends of a session end the subscription.
func sessionFailure(err error) *message.Failure {
	switch {
	case errors.Is(err, kerr.FencedInstanceID):
		return fenced(err)
	case isDenied(err), errors.Is(err, kerr.InconsistentGroupProtocol), errors.Is(err, kerr.InvalidSessionTimeout),
		errors.Is(err, kerr.InvalidGroupID), errors.Is(err, kerr.GroupMaxSizeReached):
		return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid, Message: invalid(err), Err: err}
	}
	return nil
}

// save implements book. The broker refuses it unless the generation is the group's present one.
func (m *member) save(ctx context.Context, current func() []commitment) ([]commitment, error) {
	id, generation := m.cl.GroupMetadata()
	due := current()
	if len(due) == 0 {
		return nil, nil
	}
	if generation < 0 || id == "" {
		return nil, errNoMember
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation, req.InstanceID = m.c.group, id, generation, m.instance
	byTopic := map[string]int{}
	for _, d := range due {
		i, ok := byTopic[d.lane.at.topic]
		if !ok {
			i = len(req.Topics)
			byTopic[d.lane.at.topic] = i
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic = d.lane.at.topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = d.lane.at.partition, d.spot.next, -1
		p.Metadata = kmsg.StringPtr(d.spot.text)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	resp, err := req.RequestWith(ctx, m.cl)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
		}
	}
	return due, nil
}

// end leaves the group, unless the membership is static: then its partitions wait for whoever comes back by its name.
func (m *member) end() { m.cl.Close() }

var (
	_ book                     = (*member)(nil)
	_ kgo.HookGroupManageError = (*member)(nil)
	_ kgo.HookNewClient        = (*member)(nil)
)
