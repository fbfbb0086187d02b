package circuitbreaker

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// endpoint answers as it is told, and notes where messages go.
type endpoint struct {
	err       error
	takes     time.Duration
	published int
	elsewhere string
}

func (e *endpoint) Publish(ctx context.Context, _ *message.Message) error {
	e.published++
	select {
	case <-time.After(e.takes):
		return e.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *endpoint) Elsewhere(_ context.Context, _ *message.Message, name string) error {
	e.elsewhere = name
	return nil
}

// breaker is a step with an endpoint behind.
type breaker struct {
	t       *testing.T
	invoker policies.Invoker
	context *policies.Context
	endpoint
}

func newBreaker(t *testing.T, cfg string) *breaker {
	t.Helper()
	made, problems := Type.Compile(json.RawMessage(cfg), policies.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	b := &breaker{t: t, context: new(policies.Context)}
	b.context.Init(&exchange.Exchange{API: &exchange.API{}}, nil)
	if err := made.(policies.RequestPolicy).OnRequest(t.Context(), b.context); err != nil {
		t.Fatal(err)
	}
	b.invoker = b.context.Invokers()[0]
	return b
}

// publish publishes, and wants the key of a refusal of the breaker, or none.
func (b *breaker) publish(open bool) {
	b.t.Helper()
	before := b.published
	err := b.invoker.Invoke(b.t.Context(), b.context, &message.Message{}, &b.endpoint)
	var f *message.Failure
	if refused := errors.As(err, &f) && f.Key == "CIRCUIT_BREAKER_OPEN_STATE"; refused != open || b.published-before != number(!open) {
		b.t.Errorf("open: %v, want %v (%v)", refused, open, err)
	}
}

func TestBreaker_OpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, `{"failureRateThreshold":50,"windowSize":4,"waitDurationInOpenState":200}`)
		for range 4 {
			b.publish(false)
		}
		b.err = &message.Failure{Status: 400}
		b.publish(false) // the client's fault
		b.err = &message.Failure{Status: 503}
		b.publish(false)
		b.publish(false) // two of the last four
		b.publish(true)
		time.Sleep(200 * time.Millisecond)
		b.publish(false) // on trial
		b.publish(true)
		time.Sleep(200 * time.Millisecond)
		b.err = nil
		b.publish(false)
		b.err = errors.New("lost")
		b.publish(false)
		b.publish(true) // one of two since it closed
	})
}

func TestBreaker_SlowAndGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, `{"slowCallRateThreshold":100,"slowCallDurationThreshold":50,"windowSize":1,"waitDurationInOpenState":200}`)
		b.takes = 50 * time.Millisecond
		b.publish(false)
		b.takes = 51 * time.Millisecond
		b.publish(false)
		b.publish(true)
		time.Sleep(200 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_ = b.invoker.Invoke(ctx, b.context, &message.Message{}, &b.endpoint) // on trial, and given up
		b.takes = 0
		b.publish(false)
		b.publish(false)
	})
}

func TestBreaker_Redirects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, `{"windowSize":1,"redirectToURL":"backup:"}`)
		b.err = errors.New("lost")
		b.publish(false)
		if err := b.invoker.Invoke(t.Context(), b.context, &message.Message{}, &b.endpoint); err != nil || b.elsewhere != "backup" {
			t.Errorf("%v, to %q", err, b.elsewhere)
		}
	})
}
