package kafka

import (
	"math"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// appetite keeps what a client fetches at once near a bound in bytes of records. Kafka bounds a fetch in the bytes of its
// compressed batches, and what they become may be fifty times as much; so each fetch asks for the bound divided by the
// worst ratio seen lately. The first fetches assume startRatio, and are small.
type appetite struct {
	bytes int           // of records, per fetch
	cl    *kgo.Client   // set once, before the first fetch
	ratio atomic.Uint64 // math.Float64bits of records' bytes per byte fetched
}

const (
	startRatio = 16
	ratioDecay = 0.95     // per batch: what compressed well once stops counting after some dozens of batches that do not
	minFetch   = 16 << 10 // bytes; a broker sends a whole batch in any case (KIP-74)
)

func newAppetite(bytes int) *appetite {
	a := &appetite{bytes: bytes}
	a.ratio.Store(math.Float64bits(startRatio))
	return a
}

// limits are what the next fetch may ask for, of all partitions and of one.
func (a *appetite) limits() (fetch, partition int32) {
	n := max(int(float64(a.bytes)/math.Float64frombits(a.ratio.Load())), minFetch)
	return int32(n), int32(max(n/2, minFetch))
}

func (a *appetite) OnNewClient(cl *kgo.Client) { a.cl = cl }

// OnFetchBatchRead is called for each batch, from the goroutines that read from brokers.
func (a *appetite) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.FetchBatchMetrics) {
	if b.CompressedBytes <= 0 {
		return
	}
	for {
		old := a.ratio.Load()
		last := math.Float64frombits(old)
		next := max(float64(b.UncompressedBytes)/float64(b.CompressedBytes), last*ratioDecay, 1)
		if next == last {
			return
		}
		if a.ratio.CompareAndSwap(old, math.Float64bits(next)) {
			break
		}
	}
	a.cl.UpdateFetchMaxBytes(a.limits())
}

var (
	_ kgo.HookNewClient      = (*appetite)(nil)
	_ kgo.HookFetchBatchRead = (*appetite)(nil)
)
