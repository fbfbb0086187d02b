package rates_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/dataplane/rates"
	counters "github.com/sluice-gateway/sluice/policies/rates"
	"github.com/sluice-gateway/sluice/proto/wire"
)

func natsServer(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func dial(t *testing.T, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// start runs a worker's part. What it returns stops it, and waits.
func start(t *testing.T, s *server.Server, name string) (e *rates.Exchange, stop func()) {
	t.Helper()
	e, err := rates.New(name, slog.New(slog.DiscardHandler), noop.Meter{})
	if err != nil {
		t.Fatal(err)
	}
	nc := dial(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := e.Run(ctx, nc); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		done.Wait()
		_ = nc.Flush()
	})
	t.Cleanup(stop)
	return e, stop
}

func hourly(key string, limit int64) counters.Call {
	return counters.Call{Key: counters.KeyOf([]byte(key)), Limit: limit, Period: counters.Period{N: 1, Unit: counters.Hours}}
}

func hit(t *testing.T, e counters.Counters, c counters.Call) int64 {
	t.Helper()
	n, err := e.Hit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return n.Calls
}

// await looks at a state until it is as it should be.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
}

// sees waits until a worker knows of n calls.
func sees(t *testing.T, e *rates.Exchange, key string, n int64) {
	t.Helper()
	await(t, "the calls are not heard of", func() bool { return e.Calls(counters.KeyOf([]byte(key))) == n })
}

func TestExchange_WorkersShareTheirCounts(t *testing.T) {
	s := natsServer(t)
	a, _ := start(t, s, "a")
	b, _ := start(t, s, "b")
	for range 7 {
		hit(t, a, hourly("calls", 1000))
	}
	sees(t, b, "calls", 7)
	if n := hit(t, b, hourly("calls", 1000)); n != 8 {
		t.Errorf("%d calls, want 8", n)
	}
	sees(t, a, "calls", 8)
}

// TestExchange_RestartFindsItsCounts: a worker that starts again, and one that comes late, know what was counted.
func TestExchange_RestartFindsItsCounts(t *testing.T) {
	s := natsServer(t)
	a, stopA := start(t, s, "a")
	b, _ := start(t, s, "b")
	const keys = wire.MaxRateCounts + 100 // an answer of two messages
	for i := range keys {
		hit(t, a, hourly(string(rune(i)), 1000))
	}
	hit(t, b, hourly("calls", 1000))
	hit(t, a, hourly("calls", 1000))
	sees(t, b, "calls", 2)
	sees(t, b, string(rune(keys-1)), 1)
	stopA()
	c, _ := start(t, s, "c")
	sees(t, c, "calls", 1) // b's own; that a is gone, b notices later
	await(t, "a is never taken for gone", func() bool {
		d, stop := start(t, s, "a")
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for ctx.Err() == nil && (d.Calls(counters.KeyOf([]byte("calls"))) != 2 || d.Calls(counters.KeyOf([]byte(string(rune(keys-1))))) != 1) {
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
		return ctx.Err() == nil
	})
}

// TestExchange_AsksForWhatIsLost: a gap in the numbers is asked for until the whole answer came.
func TestExchange_AsksForWhatIsLost(t *testing.T) {
	s := natsServer(t)
	nc := dial(t, s)
	asked := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe(wire.RatesAskSubject("a"), asked); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	a, _ := start(t, s, "a")
	tell := func(subject string, seq uint64, left uint32, key string, n uint64) {
		t.Helper()
		k := counters.KeyOf([]byte(key))
		data, err := proto.Marshal(&wire.RateCounts{V: wire.Version, Origin: 7, Seq: seq, Left: left,
			Counts: []*wire.RateCount{{Key: k[:], ResetMs: time.Now().Add(time.Hour).UnixMilli(), Count: n}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish(subject, data); err != nil {
			t.Fatal(err)
		}
	}
	question := func() uint64 {
		t.Helper()
		m := <-asked
		ask, err := wire.DecodeRateAsk(m.Subject, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		return ask.GetOrigin()
	}
	if question() != 0 {
		t.Error("a worker that starts does not ask all")
	}
	all, one := wire.RatesSubject("peer"), wire.RatesToSubject("a", "peer")
	seq := uint64(1)
	tell(all, seq, 0, "calls", 1)
	sees(t, a, "calls", 1)
	gaps := time.NewTicker(50 * time.Millisecond)
	defer gaps.Stop()
	lost := func() {
		t.Helper()
		for seq++; ; { // number 2 is lost
			seq++
			tell(all, seq, 0, "calls", seq)
			select {
			case m := <-asked:
				if ask, err := wire.DecodeRateAsk(m.Subject, m.Data); err != nil || ask.GetOrigin() != 7 {
					t.Fatalf("asked %v, %v", ask, err)
				}
				return
			case <-gaps.C:
			}
		}
	}
	lost()
	tell(one, seq, 1, "m", 5) // the rest of the answer is lost too
	lost()
	tell(one, seq, 1, "m", 5)
	tell(one, seq, 0, "l", 6)
	sees(t, a, "l", 6)
	seq++
	tell(all, seq, 0, "calls", 100)
	sees(t, a, "calls", 100)
	if len(asked) > 0 {
		t.Errorf("asks again when nothing is missed: run %d", question())
	}
}

// TestExchange_Bound: what three workers accept together stays within the bound that the package states, with the time that
// messages really took.
func TestExchange_Bound(t *testing.T) {
	s := natsServer(t)
	var parts []*rates.Exchange
	for _, name := range []string{"a", "b", "c"} {
		e, _ := start(t, s, name)
		parts = append(parts, e)
	}
	for _, e := range parts {
		await(t, "the workers do not find each other", func() bool { return e.Peers() == 2 })
	}
	const limit, each = 600, 2000
	var accepted atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for _, e := range parts {
		wg.Go(func() {
			pace := time.NewTicker(time.Millisecond)
			defer pace.Stop()
			for range each {
				<-pace.C
				if n, err := e.Hit(t.Context(), hourly("calls", limit)); err != nil {
					t.Error(err)
				} else if n.Calls <= limit {
					accepted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	rate := 3 * each / time.Since(begin).Seconds()
	var behind time.Duration
	for _, e := range parts {
		behind = max(behind, e.Behind())
	}
	quantum := max(1, limit/(20*3))
	bound := limit + 3*(quantum-1) + int(rate*behind.Seconds()) + 1
	t.Logf("accepted %d of a limit of %d at %.0f/s; counts were known after %s at most; bound %d", accepted.Load(), limit, rate, behind, bound)
	if n := int(accepted.Load()); n < limit || n > bound {
		t.Errorf("%d calls accepted, want %d to %d", n, limit, bound)
	}
}

func TestExchange_NamesAreChecked(t *testing.T) {
	t.Parallel()
	if _, err := rates.New("", slog.New(slog.DiscardHandler), noop.Meter{}); err == nil {
		t.Error("a worker without a name")
	}
	if _, err := rates.NewRedis("http://nowhere", nil); err == nil {
		t.Error("an address that is none of a Redis")
	}
}
