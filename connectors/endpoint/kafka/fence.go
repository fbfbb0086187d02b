package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/sluice-gateway/sluice/qos/message"
)

// A fence makes saving a group's positions conditional on nobody else having begun to since. Kafka has one for whoever is no
// member of the group: a transactional id. Who begins (InitProducerId) gets the next epoch and ends what an earlier holder has
// under way; that one's transactions are refused from then on, on whichever worker it is (KIP-98). A save is a transaction of
// nothing but positions. So whoever reads the positions after it began, and saves, knows that nobody has moved them between.
type fence struct {
	c     *control
	group string
	id    string // transactional
	pid   int64
	epoch int16
}

// fencePrefix begins the transactional ids; the group follows. A principal needs Write on them.
const fencePrefix = "sluice-page-"

const (
	// fenceTimeout is how long a broker keeps a transaction of a worker that died, unless another page ends it before.
	fenceTimeout = 10 * time.Second
	// fenceWait bounds the wait for a fence. The first of a cluster waits until there is a log of transactions, which takes seconds.
	fenceWait = 15 * time.Second
	// busyPause is the wait for a coordinator that is about to end the transaction before, which takes it a few milliseconds.
	busyPause = 5 * time.Millisecond
)

// fencedVersions keeps transactions to the protocol that all brokers since 2.5 speak. The later one (KIP-890) changes the epoch
// with every transaction, and is only to be used where the cluster has said so.
func fencedVersions() *kversion.Versions {
	const last = 4
	v := kversion.Stable()
	v.SetMaxKeyVersion(kmsg.TxnOffsetCommit.Int16(), last)
	v.SetMaxKeyVersion(kmsg.EndTxn.Int16(), last)
	return v
}

// fence begins one.
func (c *control) fence(ctx context.Context, group string) (*fence, error) {
	if _, err := c.admin(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fenceWait)
	defer cancel()
	f := &fence{c: c, group: group, id: fencePrefix + group}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &f.id, int32(fenceTimeout.Milliseconds())
	begin := func() error {
		resp, err := req.RequestWith(ctx, c.client)
		if err != nil {
			return err
		}
		f.pid, f.epoch = resp.ProducerID, resp.ProducerEpoch
		return kerr.ErrorForCode(resp.ErrorCode)
	}
	err := repeat(ctx, isPassing, func() error { return soon(ctx, begin) })
	if err != nil {
		return nil, f.failure(fmt.Errorf("begin the transactional id %s: %w", f.id, err))
	}
	return f, nil
}

// save saves positions, as long as no other fence of the group has begun and it has no members. An error that passes leaves
// it open whether they are saved: saving them again is right.
func (f *fence) save(ctx context.Context, due []commitment) error {
	err := f.add(ctx)
	if err == nil {
		err = f.commit(ctx, due)
	}
	if err == nil {
		err = f.end(ctx)
	}
	if err != nil {
		return f.failure(fmt.Errorf("save the offsets of group %s: %w", f.group, err))
	}
	return nil
}

// add begins a transaction of the group's positions.
func (f *fence) add(ctx context.Context) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = f.id, f.pid, f.epoch, f.group
	return soon(ctx, func() error {
		resp, err := req.RequestWith(ctx, f.c.client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
}

// outsiderID is the name of a member that there is not. A group without members takes what it saves, and any other refuses it
// (KIP-447); a save in nobody's name would be taken beside the members'.
const outsiderID = "sluice-page"

func (f *fence) commit(ctx context.Context, due []commitment) error {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = f.id, f.pid, f.epoch, f.group
	req.MemberID, req.Generation = outsiderID, -1
	at := map[string]int{}
	for _, d := range due {
		i, ok := at[d.lane.at.topic]
		if !ok {
			i = len(req.Topics)
			at[d.lane.at.topic] = i
			t := kmsg.NewTxnOffsetCommitRequestTopic()
			t.Topic = d.lane.at.topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = d.lane.at.partition, d.spot.next, -1, kmsg.StringPtr(d.spot.text)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	err := f.send(ctx, req)
	if !errors.Is(err, kerr.UnknownMemberID) {
		return err
	}
	// A broker that asks for a member also where there are none (kfake).
	if err := f.c.empty(ctx, f.group); err != nil {
		return err
	}
	req.MemberID = ""
	return f.send(ctx, req)
}

func (f *fence) send(ctx context.Context, req *kmsg.TxnOffsetCommitRequest) error {
	return soon(ctx, func() error {
		resp, err := req.RequestWith(ctx, f.c.client)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// end makes the save hold: from the answer on it is durable, and the next fence waits until readers see it.
func (f *fence) end(ctx context.Context) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = f.id, f.pid, f.epoch, true
	return soon(ctx, func() error {
		resp, err := req.RequestWith(ctx, f.c.client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
}

// failure is what an error means to a page; errors that pass are returned as they are.
func (f *fence) failure(err error) error {
	switch {
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.InvalidProducerIDMapping):
		return &message.Failure{Status: statusTaken, Key: message.KeyClientActive, Err: err,
			Message: "Another request with the same client identifier came meanwhile; ask for one page after the other"}
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return &message.Failure{Status: statusInvalid, Key: message.KeyConfigurationInvalid, Err: err,
			Message: textInvalid + ": the broker denies Write on the transactional id " + f.id + ", which pages need at most once"}
	case isPassing(err):
		return err
	}
	return pageFailure(err)
}

// soon repeats what a coordinator refuses because it is still busy with a transaction, until ctx ends.
func soon(ctx context.Context, try func() error) error {
	for {
		err := try()
		if !errors.Is(err, kerr.ConcurrentTransactions) && !errors.Is(err, kerr.UnstableOffsetCommit) {
			return err
		}
		wait := time.NewTimer(busyPause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return err
		}
	}
}
