// Package load makes load and counts what comes of it: it posts, opens streams, WebSockets and pages, produces and consumes.
// Every message carries a number, so that what is lost or comes twice is seen, and the time at which it was meant to be sent,
// so that a latency holds the waiting before it (no coordinated omission). A job runs in a process of its own, which starts
// nothing that outlives it.
package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Kinds of jobs.
const (
	Post     = "post"     // POST messages, then count them in the topic
	Stream   = "stream"   // read event streams or WebSockets
	Page     = "page"     // page through http-get
	Idle     = "idle"     // hold connections that nothing comes over
	Produce  = "produce"  // produce to Kafka
	Consume  = "consume"  // consume from Kafka
	Requests = "requests" // send the same request to many paths
	Receive  = "receive"  // receive webhooks
)

// Forms of a stream.
const (
	SSE       = "sse"
	WebSocket = "websocket"
)

// Job is what one process does.
type Job struct {
	Do      string        `json:"do"`
	URL     string        `json:"url,omitempty"`
	Brokers []string      `json:"brokers,omitempty"`
	MQTT    bool          `json:"mqtt,omitempty"` // Brokers and Topic are of MQTT
	Topic   string        `json:"topic,omitempty"`
	Form    string        `json:"form,omitempty"`
	Listen  string        `json:"listen,omitempty"`
	Clients int           `json:"clients,omitempty"` // connections, or callers that wait for their answers
	Size    int           `json:"size,omitempty"`    // bytes of a message
	JSON    bool          `json:"json,omitempty"`    // a message is a JSON document
	Keys    int64         `json:"keys,omitempty"`    // of records, in turn; 0: they have none
	QoS     byte          `json:"qos,omitempty"`     // of MQTT
	Total   int64         `json:"total,omitempty"`   // messages; of a stream, that each client waits for; of Post, that are sent, in place of For
	Rate    float64       `json:"rate,omitempty"`    // messages per second, sent at their times; 0: as fast as it goes
	Warm    time.Duration `json:"warm,omitempty"`    // before what is measured
	For     time.Duration `json:"for,omitempty"`     // what is measured
	Linger  time.Duration `json:"linger,omitempty"`  // of a producer
	Single  bool          `json:"single,omitempty"`  // one produce request in flight, which idempotent producing cannot be told
	Live    bool          `json:"live,omitempty"`    // connect first, then wait for messages that are yet to be sent
	Same    bool          `json:"same,omitempty"`    // messages are all alike: they are counted, not told apart
	Resume  bool          `json:"resume,omitempty"`  // connect again where a stream ends early, at its last id
	Quiet   time.Duration `json:"quiet,omitempty"`   // how long nothing more may come before what is missing is lost; 0: 20 s, as before the first
	Lossy   bool          `json:"lossy,omitempty"`   // the level may lose messages: what is missing is told, not waited for
	Client  string        `json:"client,omitempty"`  // identifier of the clients, under which their positions are saved
	Sources int           `json:"sources,omitempty"` // 127.0.0.x addresses to connect from
	Paths   int           `json:"paths,omitempty"`   // of Requests: the URL's %d counts through them
}

// body is a message of the job without its stamp.
func (j Job) body() []byte {
	p := make([]byte, max(j.Size, StampSize))
	if j.JSON {
		FillJSON(p)
	} else {
		Fill(p)
	}
	return p
}

// patience is how long a job waits for the next message. Before the first, others may still be starting.
func (j Job) patience(begun bool) time.Duration {
	if !begun {
		return max(quiet, j.Quiet)
	}
	return cmp.Or(j.Quiet, quiet)
}

// glance is how often a job looks whether its patience is at its end.
func (j Job) glance() time.Duration { return j.patience(true) / 8 }

// Outcome is what came of a job.
type Outcome struct {
	Messages   int64    `json:"messages"` // in what was measured: rates and costs are of these
	Seconds    float64  `json:"seconds"`
	Sent       int64    `json:"sent"`
	Delivered  int64    `json:"delivered"`
	Lost       int64    `json:"lost"`       // promised and missing
	Duplicated int64    `json:"duplicated"` // came again
	Gaps       int64    `json:"gaps,omitempty"`
	Failed     int64    `json:"failed,omitempty"` // requests answered otherwise, or not at all
	Reconnects int64    `json:"reconnects,omitempty"`
	Latency    *Latency `json:"latency,omitempty"`
	FirstError string   `json:"firstError,omitempty"`
}

// PerSecond is the rate of what was measured.
func (o *Outcome) PerSecond() float64 {
	if o.Seconds <= 0 {
		return 0
	}
	return float64(o.Messages) / o.Seconds
}

// Latency is a distribution, in microseconds.
type Latency struct {
	Count int64        `json:"count"`
	P50   float64      `json:"p50"`
	P90   float64      `json:"p90"`
	P99   float64      `json:"p99"`
	P999  float64      `json:"p999"`
	Max   float64      `json:"max"`
	Curve [][2]float64 `json:"curve,omitempty"` // percentile, microseconds
}

// maxLatency bounds a histogram, in microseconds: ten minutes. What took longer counts as that.
const maxLatency = 600_000_000

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency, 3) }

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), maxLatency)) // always within its bounds
}

// LatencyOf sums up how long some things took.
func LatencyOf(all []time.Duration) *Latency {
	h := newHistogram()
	for _, d := range all {
		record(h, d)
	}
	return summary(h)
}

// curve are the percentiles of a plot, each nine closer to 100.
var curve = []float64{0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999, 100}

func summary(h *hdrhistogram.Histogram) *Latency {
	if h.TotalCount() == 0 {
		return nil
	}
	at := func(p float64) float64 { return float64(h.ValueAtQuantile(p)) }
	l := &Latency{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max())}
	for _, p := range curve {
		l.Curve = append(l.Curve, [2]float64{p, at(p)})
	}
	return l
}

// Tell is how a job tells the measuring process where it is: Ready, Measuring, Measured.
type Tell struct {
	// Say names the event, with an address where there is one.
	Say func(event, addr string)
	// Go is closed when a job that is ready may begin.
	Go <-chan struct{}
}

// Events of a job.
const (
	Ready     = "ready"
	Measuring = "measuring"
	Measured  = "measured"
)

// await says that the job is ready and waits until it may begin.
func (t Tell) await(ctx context.Context) error {
	t.Say(Ready, "")
	select {
	case <-t.Go:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var jobs = map[string]func(context.Context, Job, Tell) (Outcome, error){
	Post: post, Stream: stream, Page: page, Idle: idle, Produce: produce, Consume: consume, Requests: requests, Receive: receive,
}

// Run does a job.
func Run(ctx context.Context, job Job, tell Tell) (Outcome, error) {
	run, ok := jobs[job.Do]
	if !ok {
		return Outcome{}, fmt.Errorf("job %q is unknown", job.Do)
	}
	least := StampSize
	if job.JSON {
		least += len(opening) + len(closing)
	}
	if job.Size != 0 && job.Size < least {
		return Outcome{}, fmt.Errorf("messages of %d bytes: at least %d are needed for their numbers", job.Size, least)
	}
	out, err := run(ctx, job, tell)
	if err != nil {
		return out, fmt.Errorf("%s: %w", job.Do, err)
	}
	return out, nil
}

// errIncomplete is in the error of a run that waited for messages in vain.
var errIncomplete = errors.New("messages are missing")
