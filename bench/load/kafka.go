package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicLog reads from a topic what a run stored in it.
type topicLog struct {
	job    Job
	client *kgo.Client
	from   kadm.ListedOffsets
}

// openLog remembers where the topic ends.
func openLog(ctx context.Context, job Job) (*topicLog, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(job.Brokers...))
	if err != nil {
		return nil, err
	}
	from, err := kadm.NewClient(client).ListEndOffsets(ctx, job.Topic)
	if err := errors.Join(err, from.Error()); err != nil {
		client.Close()
		return nil, fmt.Errorf("ask for the end of %s: %w", job.Topic, err)
	}
	return &topicLog{job, client, from}, nil
}

func (l *topicLog) close() { l.client.Close() }

// numbers reads the numbers of all that was stored since openLog, then has the broker forget it.
func (l *topicLog) numbers(ctx context.Context, _ int64) (*Set, error) {
	admin := kadm.NewClient(l.client)
	to, err := admin.ListEndOffsets(ctx, l.job.Topic)
	if err := errors.Join(err, to.Error()); err != nil {
		return nil, fmt.Errorf("ask for the end of %s: %w", l.job.Topic, err)
	}
	starts, left := map[int32]kgo.Offset{}, int64(0)
	from := l.from.Offsets()
	ends := map[int32]int64{}
	to.Each(func(o kadm.ListedOffset) {
		begin, _ := from.Lookup(o.Topic, o.Partition)
		if o.Offset > begin.At {
			starts[o.Partition] = kgo.NewOffset().At(begin.At)
			ends[o.Partition] = o.Offset
			left += o.Offset - begin.At
		}
	})
	set := &Set{}
	if err := readRange(ctx, l.job, starts, ends, left, set); err != nil {
		return nil, err
	}
	deleted, err := admin.DeleteRecords(ctx, to.Offsets())
	if err := errors.Join(err, deleted.Error()); err != nil {
		return nil, fmt.Errorf("delete what was read of %s: %w", l.job.Topic, err)
	}
	return set, nil
}

func readRange(ctx context.Context, job Job, starts map[int32]kgo.Offset, ends map[int32]int64, left int64, set *Set) error {
	if left == 0 {
		return nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(job.Brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{job.Topic: starts}))
	if err != nil {
		return err
	}
	defer reader.Close()
	strange := 0
	for left > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s back, %d records before its end: %w", job.Topic, left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= ends[r.Partition] {
				return
			}
			left--
			if n, _, ok := ReadStamp(r.Value); ok && n < maxNumber {
				set.Add(n)
			} else {
				strange++
			}
		})
	}
	if strange > 0 {
		return fmt.Errorf("%d records of %s are none of ours", strange, job.Topic)
	}
	return nil
}

// produce sends Total records, or what For allows, at Rate or as fast as it goes. With Clients, so many callers each wait for
// their record's acknowledgement; without, records follow each other and the client batches them.
func produce(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	if job.MQTT {
		return produceMQTT(ctx, job, tell)
	}
	opts := []kgo.Opt{kgo.SeedBrokers(job.Brokers...), kgo.DefaultProduceTopic(job.Topic), kgo.MaxBufferedRecords(10_000),
		kgo.ProducerBatchCompression(kgo.NoCompression())}
	if job.Clients > 0 || job.Rate > 0 {
		opts = append(opts, kgo.ProducerLinger(0))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return Outcome{}, err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return Outcome{}, err
	}
	p := &producer{job: job, client: client}
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	if job.Warm > 0 {
		p.callers(ctx, job.Warm)
	}
	tell.Say(Measuring, "")
	before, start := p.acked.Load(), time.Now()
	if job.Clients > 0 {
		p.callers(ctx, job.For)
	} else if err := p.pipeline(ctx); err != nil {
		return Outcome{}, err
	}
	out := Outcome{Messages: p.acked.Load() - before, Seconds: time.Since(start).Seconds(), Sent: p.next.Load(), Delivered: p.acked.Load()}
	tell.Say(Measured, "")
	if err := p.failed.Load(); err != nil {
		return out, *err
	}
	return out, ctx.Err()
}

type producer struct {
	job         Job
	client      *kgo.Client
	next, acked atomic.Int64
	failed      atomic.Pointer[error]
}

// callers has Clients goroutines produce for so long, each waiting for its acknowledgement.
func (p *producer) callers(ctx context.Context, long time.Duration) {
	start := time.Now()
	var wg sync.WaitGroup
	for range max(p.job.Clients, 1) {
		wg.Go(func() {
			value := p.job.body()
			record := &kgo.Record{Value: value}
			done := make(chan error, 1)
			for time.Since(start) < long && ctx.Err() == nil {
				Stamp(value, p.next.Add(1)-1, 0)
				*record = kgo.Record{Value: value}
				p.client.Produce(ctx, record, func(_ *kgo.Record, err error) { done <- err })
				if err := <-done; err != nil {
					p.failed.CompareAndSwap(nil, &err)
					return
				}
				p.acked.Add(1)
			}
		})
	}
	wg.Wait()
}

// pipeline produces Total records without waiting for any.
func (p *producer) pipeline(ctx context.Context) error {
	pool := sync.Pool{New: func() any {
		return &kgo.Record{Value: p.job.body()}
	}}
	promise := func(r *kgo.Record, err error) {
		if err != nil {
			p.failed.CompareAndSwap(nil, &err)
			return
		}
		p.acked.Add(1)
		pool.Put(&kgo.Record{Value: r.Value})
	}
	pace := pace{time.Now().Add(spin), p.job.Rate}
	for i := range p.job.Total {
		at := int64(0)
		if p.job.Rate > 0 {
			t := pace.at(i)
			WaitUntil(t)
			at = t.UnixNano()
		}
		r := pool.Get().(*kgo.Record)
		Stamp(r.Value, i, at)
		if p.job.Keys > 0 {
			r.Key = strconv.AppendInt(nil, i%p.job.Keys, 10)
		}
		p.next.Add(1)
		p.client.Produce(ctx, r, promise)
	}
	return p.client.Flush(ctx)
}

// consume reads Total records from the topic's start, or, Live, those that are yet to come.
func consume(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	if job.MQTT {
		return consumeMQTT(ctx, job, tell)
	}
	opts := []kgo.Opt{kgo.SeedBrokers(job.Brokers...)}
	if job.Live {
		log, err := openLog(ctx, job)
		if err != nil {
			return Outcome{}, err
		}
		log.close()
		opts = append(opts, kgo.ConsumePartitions(log.from.KOffsets()))
	} else {
		opts = append(opts, kgo.ConsumeTopics(job.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return Outcome{}, err
	}
	defer client.Close()
	if err := tell.await(ctx); err != nil {
		return Outcome{}, err
	}
	tell.Say(Measuring, "")
	set, latency := &Set{}, newHistogram()
	var first time.Time
	for set.Len() < job.Total {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return Outcome{}, fmt.Errorf("after %d of %d records: %w", set.Len(), job.Total, err)
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n, at, ok := ReadStamp(r.Value)
			if ok && n < maxNumber {
				set.add(n)
			}
			if ok && at > 0 {
				record(latency, time.Duration(now.UnixNano()-at))
			}
		})
	}
	out := Outcome{Messages: set.Len(), Seconds: time.Since(first).Seconds(), Sent: job.Total, Delivered: set.Len(), Duplicated: set.Again(), Latency: summary(latency)}
	tell.Say(Measured, "")
	return out, nil
}
