package webhook

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

// TestAlloc_Request: making a request allocates nothing once the writer has grown.
func TestAlloc_Request(t *testing.T) {
	if fake.Race {
		t.Skip("allocations are counted without the race detector") // make test-allocations runs it
	}
	for name, settings := range map[string]string{
		"plain":  `"headers":[{"name":"X","value":"y"}]`,
		"signed": `"signature":{"secrets":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]}`,
	} {
		target, ps := readTarget([]byte(to("http://receiver", settings)))
		if err := ps.Err(); err != nil {
			t.Fatal(err)
		}
		w := newWriter(newTemplate(target), target.signers)
		m := data("k")[0]
		m.Headers = headersOf("trace", "abc")
		l := &lane{head: &item{m: &m, positional: true}, taken: 1}
		now := time.Now()
		if n := testing.AllocsPerRun(1000, func() { w.request(l, "Bearer x", now) }); n != 0 {
			t.Errorf("%s: %v allocations per request", name, n)
		}
	}
}

// TestAlloc_Board: a message that comes and goes allocates nothing but its place, of which there is one slice per Poll.
func TestAlloc_Board(t *testing.T) {
	if fake.Race {
		t.Skip("allocations are counted without the race detector") // make test-allocations runs it
	}
	b, now := newBoard(64, nil), time.Now()
	b.marks.on = true
	msgs := []message.Message{data("k")[0], data("-")[0]}
	items := make([]item, 2)
	cycle := func() {
		for i := range items {
			items[i] = item{m: &msgs[i], size: 1, seq: b.marks.track(&msgs[i])}
		}
		b.add(items, now)
		b.finish(b.take(now), now)
		b.park(b.take(now), now)
		b.wake(now)
		b.finish(b.take(now), now)
	}
	if n := testing.AllocsPerRun(1000, cycle); n != 0 {
		t.Errorf("%v allocations per cycle", n)
	}
	if b.items != 0 || b.flying != 0 || len(b.lanes) != 0 {
		t.Errorf("left behind: %d items, %d flying, %d lanes", b.items, b.flying, len(b.lanes))
	}
}
