package httpfront_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

func TestMain(m *testing.M) { fake.VerifyNoLeaks(m) }

// line is a connection that ends when it is cut, or, being polite, when it is woken.
type line struct {
	polite     bool
	woken, cut atomic.Int32
	end        chan struct{}
}

func newLine(polite bool) *line { return &line{polite: polite, end: make(chan struct{}, 2)} }

func (l *line) Wake() {
	if l.woken.Add(1); l.polite {
		l.end <- struct{}{}
	}
}

func (l *line) Cut() {
	l.cut.Add(1)
	l.end <- struct{}{}
}

func TestGroup_Drain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g httpfront.Group
		if cut := g.Drain(t.Context()); cut != 0 {
			t.Errorf("empty group: %d cut", cut)
		}
		api, stop := context.WithCancel(t.Context())
		polite, rude, late := newLine(true), newLine(false), newLine(false)
		for _, l := range []*line{polite, rude, late} {
			m := g.Enter(api)
			go func() {
				if l == late { // attached only after the time is over
					time.Sleep(time.Minute)
				}
				m.Attach(l)
				<-l.end
				m.Leave()
			}()
		}
		synctest.Wait()
		stop()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if cut := g.Drain(ctx); cut != 2 || g.Len() != 0 {
			t.Errorf("%d cut, %d left", cut, g.Len())
		}
		if polite.woken.Load() != 1 || rude.woken.Load() != 1 || polite.cut.Load() != 0 {
			t.Errorf("woken %d and %d times, cut %d times", polite.woken.Load(), rude.woken.Load(), polite.cut.Load())
		}
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api, stop := context.WithCancelCause(t.Context())
		d := httpfront.NewDeadlines(time.Second)
		first := d.Context(api, time.Now())
		if second := d.Context(api, time.Now()); second != first {
			t.Error("requests of one moment do not share a context")
		}
		time.Sleep(150 * time.Millisecond)
		later := d.Context(api, time.Now())
		begin := time.Now()
		<-first.Done()
		<-later.Done()
		if took := time.Since(begin); took < time.Second || took > 1100*time.Millisecond || !errors.Is(context.Cause(later), httpfront.ErrRequestTimeout) {
			t.Errorf("ended after %v: %v", took, context.Cause(later))
		}
		last := d.Context(api, time.Now())
		stop(message.ErrRedeploy)
		<-last.Done()
		if httpfront.StopReason(last) != message.ReasonRedeploy {
			t.Error(context.Cause(last))
		}
	})
}

func TestAppendFailure_KeepsTextAsItIs(t *testing.T) {
	t.Parallel()
	body, contentType := httpfront.AppendFailure(nil, &message.Failure{Message: "a\n\"b\""}, false)
	if !bytes.Equal(body, []byte("a\n\"b\"")) || contentType != "text/plain" {
		t.Errorf("%q %q", body, contentType)
	}
}
