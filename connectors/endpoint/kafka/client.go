package kafka

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/connectors/supervise"
)

// Timings of connections. A broker that comes back must be found quickly, so waits between attempts stay short: a worker
// has few clients, and the cluster that it asks is down anyway.
const (
	dialTimeout     = 3 * time.Second
	minBackoff      = 100 * time.Millisecond
	maxBackoff      = 500 * time.Millisecond
	metadataMinAge  = 250 * time.Millisecond // also the pace at which an unknown topic is asked for again
	metadataMaxAge  = time.Minute            // how late new partitions are found by a producer
	requestTimeout  = 5 * time.Second        // how long a broker may be silent on top of a request's own time
	controlTimeout  = 5 * time.Second        // to look up offsets and topics when a subscription starts
	fetchWait       = time.Second            // how long a broker holds a fetch that finds nothing
	maxMessageBytes = 100 << 20              // of a fetch response; Kafka's socket.request.max.bytes
)

// maxBatchBytes bounds what one compressed batch may become, in bytes; a larger one is passed over and told as a gap. A
// batch of Kafka's default 1 MiB would need a ratio of 64 for it.
const maxBatchBytes = 64 << 20

// clientOptions are what all clients of an endpoint share.
func (e *Endpoint) clientOptions(role string) []kgo.Opt {
	return append(e.set.security.Options(e.log),
		kgo.SeedBrokers(e.seeds...),
		kgo.ClientID("sluice-"+role+"-"+e.name),
		kgo.SoftwareNameAndVersion("sluice", "0"),
		kgo.WithLogger(&clientLog{log: e.log.With("client", role), level: kgo.LogLevelWarn}),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryBackoffFn(backoff),
		kgo.RequestTimeoutOverhead(requestTimeout),
		kgo.RetryTimeout(controlTimeout),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.MetadataMaxAge(metadataMaxAge),
		kgo.AlwaysRetryEOF(), // a broker that dies while it greets us is an outage, not a misconfiguration
		kgo.DisableClientMetrics(),
	)
}

// backoff doubles from minBackoff to maxBackoff.
func backoff(fails int) time.Duration {
	return min(minBackoff<<min(max(fails-1, 0), 8), maxBackoff)
}

// clientLog takes franz-go's warnings into our log, at most one line in a while: a client that retries for an hour must not
// fill the disk.
type clientLog struct {
	log   *slog.Logger
	level kgo.LogLevel
	limit supervise.LogLimit
}

func (l *clientLog) Level() kgo.LogLevel { return l.level }

func (l *clientLog) Log(level kgo.LogLevel, msg string, pairs ...any) {
	at := slog.LevelWarn
	if level == kgo.LogLevelError {
		at = slog.LevelError
	}
	l.limit.Log(l.log, at, msg, pairs...)
}

// pulse learns from a client whether its cluster answers: one clock reading per response, none per message.
type pulse struct{ last atomic.Int64 } // Unix nanoseconds of the last response

func (p *pulse) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	if e2e.Err() == nil {
		p.beat()
	}
}

func (p *pulse) beat() { p.last.Store(time.Now().UnixNano()) }

func (p *pulse) silentFor(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - p.last.Load())
}

var _ kgo.HookBrokerE2E = (*pulse)(nil)
