package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-gateway/sluice/connectors/supervise"
)

// control asks the cluster about topics, offsets and groups. Its client is made when first needed and never fetches.
type control struct {
	e *Endpoint

	mu     sync.Mutex // guards the following
	client *kgo.Client
	closed bool
}

func (c *control) admin() (*kadm.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, supervise.ErrEnded
	}
	if c.client == nil {
		cl, err := kgo.NewClient(append(c.e.clientOptions("control"), kgo.MaxVersions(fencedVersions()))...)
		if err != nil {
			return nil, err
		}
		c.client = cl
	}
	return kadm.NewClient(c.client), nil
}

func (c *control) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.client != nil {
		c.client.Close()
	}
}

// offsets are the places of partitions, and the topics that do not exist.
type offsets struct {
	at      map[place]int64
	missing []string
}

// find returns the place, and whether the partition exists.
func (o offsets) find(p place) (int64, bool) {
	n, ok := o.at[p]
	return n, ok
}

// places lists the partitions that exist, in order.
func (o offsets) places() []place {
	out := make([]place, 0, len(o.at))
	for p := range o.at {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return out
}

// ends looks up the ends of the partitions of topics.
func (c *control) ends(ctx context.Context, topics []string) (offsets, error) {
	return c.list(ctx, topics, (*kadm.Client).ListEndOffsets)
}

// starts looks up where the partitions of topics begin.
func (c *control) starts(ctx context.Context, topics []string) (offsets, error) {
	return c.list(ctx, topics, (*kadm.Client).ListStartOffsets)
}

// after looks up the first offsets not older than t; where there is none, the end.
func (c *control) after(ctx context.Context, topics []string, t time.Time) (offsets, error) {
	return c.list(ctx, topics, func(a *kadm.Client, ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		return a.ListOffsetsAfterMilli(ctx, t.UnixMilli(), topics...)
	})
}

// since is after, for one time.
func (c *control) since(t time.Time) lookup {
	return func(ctx context.Context, topics []string) (offsets, error) { return c.after(ctx, topics, t) }
}

func (c *control) list(ctx context.Context, topics []string,
	ask func(*kadm.Client, context.Context, ...string) (kadm.ListedOffsets, error)) (offsets, error) {
	admin, err := c.admin()
	if err != nil {
		return offsets{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	out := offsets{at: map[place]int64{}}
	if len(topics) == 0 { // to kadm that would be all
		return out, nil
	}
	listed, err := ask(admin, ctx, topics...)
	if err != nil {
		return out, fmt.Errorf("list offsets: %w", err)
	}
	for _, topic := range topics {
		partitions := listed[topic]
		for n, o := range partitions {
			switch {
			case o.Err == nil:
				out.at[place{topic, n}] = o.Offset
			case !isMissing(o.Err):
				return out, fmt.Errorf("list offsets of %s: %w", topic, o.Err)
			case n < 0 || len(partitions) == 1:
				out.missing = append(out.missing, topic)
			}
		}
		if len(partitions) == 0 {
			out.missing = append(out.missing, topic)
		}
	}
	return out, nil
}

// matching lists the topics that match a pattern, by name.
func (c *control) matching(ctx context.Context, p *pattern) ([]string, error) {
	admin, err := c.admin()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	all, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var out []string
	for name, topic := range all {
		if p.match.MatchString(name) && !isMissing(topic.Err) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

func isMissing(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID)
}

// create asks for the metadata of topics in the way that lets a broker make them, if it is configured to.
func (c *control) create(ctx context.Context, topics []string) {
	if _, err := c.admin(); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	_, _ = req.RequestWith(ctx, c.client) // whether it was made is seen when it is looked for
}

// committed reads a group's positions in topics.
func (c *control) committed(ctx context.Context, group string, topics []string) (map[place]spot, error) {
	admin, err := c.admin()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	ctx = kadm.RequireStable(ctx) // what a fence has saved, and its coordinator has not told the group's yet
	var found kadm.OffsetResponses
	err = patiently(ctx, func() error {
		return soon(ctx, func() (err error) {
			found, err = admin.FetchOffsets(ctx, group)
			return err
		})
	})
	if errors.Is(err, kerr.GroupIDNotFound) { // never used
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the offsets of group %s: %w", group, err)
	}
	out := map[place]spot{}
	for _, topic := range topics {
		for n, o := range found[topic] {
			if o.Err != nil {
				return nil, fmt.Errorf("read the offsets of group %s: %w", group, o.Err)
			}
			if o.At >= 0 {
				out[place{topic, n}] = spot{o.At, o.Metadata}
			}
		}
	}
	return out, nil
}

// empty fails where a group has members.
func (c *control) empty(ctx context.Context, group string) error {
	admin, err := c.admin()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	var found kadm.DescribedGroups
	err = patiently(ctx, func() (err error) {
		if found, err = admin.DescribeGroups(ctx, group); err == nil {
			err = found[group].Err
		}
		return err
	})
	switch {
	case errors.Is(err, kerr.GroupIDNotFound): // never used
		return nil
	case err != nil:
		return fmt.Errorf("look up the members of group %s: %w", group, err)
	case len(found[group].Members) > 0:
		return kerr.UnknownMemberID
	}
	return nil
}

// commit saves a group's positions.
func (c *control) commit(ctx context.Context, group string, lay *layout, vec vector) error {
	admin, err := c.admin()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	save := kadm.Offsets{}
	for i, next := range vec {
		save.AddOffset(lay.places[i].topic, lay.places[i].partition, next, -1)
	}
	if err := patiently(ctx, func() error { return admin.CommitAllOffsets(ctx, group, save) }); err != nil {
		return fmt.Errorf("save the offsets of group %s: %w", group, err)
	}
	return nil
}

// commitSpots saves positions as an outsider of the group, once.
func (c *control) commitSpots(ctx context.Context, group string, due []commitment) error {
	admin, err := c.admin()
	if err != nil {
		return err
	}
	save := kadm.Offsets{}
	for _, d := range due {
		save.Add(kadm.Offset{Topic: d.lane.at.topic, Partition: d.lane.at.partition, At: d.spot.next, LeaderEpoch: -1,
			Metadata: d.spot.text})
	}
	return admin.CommitAllOffsets(ctx, group, save)
}

// patiently repeats what fails for a reason that passes, such as a coordinator that is about to be elected, until ctx
// ends. franz-go gives up on some of them at once.
func patiently(ctx context.Context, try func() error) error {
	return repeat(ctx, kerr.IsRetriable, try)
}

// repeat tries until it goes well, fails for a reason that does not pass, or ctx ends.
func repeat(ctx context.Context, passes func(error) bool, try func() error) error {
	for fails := 1; ; fails++ {
		err := try()
		if err == nil || !passes(err) {
			return err
		}
		wait := time.NewTimer(backoff(fails))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return err
		}
	}
}
