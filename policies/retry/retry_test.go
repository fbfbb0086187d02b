package retry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// next answers attempts one after the other; "late" as an endpoint that does not answer.
type next struct{ answers []error }

var errLate = errors.New("late")

func (n *next) Publish(ctx context.Context, _ *message.Message) error {
	err := n.answers[0]
	n.answers = n.answers[1:]
	if err == errLate {
		<-ctx.Done()
		return &message.Failure{Status: 504, Unknown: true}
	}
	return err
}

func (n *next) Elsewhere(context.Context, *message.Message, string) error { return nil }

func TestInvoke(t *testing.T) {
	down := &message.Failure{Status: 503, Key: message.KeyConnectionFailed}
	for _, c := range []struct {
		name, cfg string
		level     qos.Level
		answers   []error
		left      int
		status    int // 0: well
		took      time.Duration
	}{
		{"well at once", `{"condition":"{#response.status >= 500}"}`, qos.Auto, []error{nil, nil}, 1, 0, 0},
		{"well at last", `{"condition":"{#response.status >= 500}","maxRetries":2,"delay":50}`, qos.Auto, []error{down, down, nil}, 0, 0, 100 * time.Millisecond},
		{"never well", `{"condition":"{#response.status >= 500}","maxRetries":2}`, qos.Auto, []error{down, down, down, nil}, 1, 502, 0},
		{"never well, and told so", `{"condition":"{#response.status >= 500}","lastResponse":true}`, qos.Auto, []error{down, down, nil}, 1, 503, 0},
		{"late", `{"condition":"{#response.status >= 500}","timeout":300}`, qos.AtLeastOnce, []error{errLate, nil}, 0, 0, 300 * time.Millisecond},
		{"late, and must not be there twice", `{"condition":"{#response.status >= 500}"}`, qos.AtMostOnce, []error{errLate, nil}, 1, 504, time.Second},
		{"the condition asks for it", `{"condition":"{#response.status == 202}"}`, qos.Auto, []error{nil, nil, nil}, 1, 502, 0},
		{"a condition without value asks for nothing", `{"condition":"{#response.headers['x'][0] == '202'}"}`, qos.Auto, []error{nil, nil}, 1, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			made, problems := Type.Compile(json.RawMessage(c.cfg), policies.Env{})
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			pc := new(policies.Context)
			pc.Init(&exchange.Exchange{API: &exchange.API{}, QoS: c.level}, nil)
			if err := made.(policies.RequestPolicy).OnRequest(t.Context(), pc); err != nil || len(pc.Invokers()) != 1 {
				t.Fatalf("%v, %d invokers", err, len(pc.Invokers()))
			}
			n := &next{c.answers}
			begin := time.Now()
			err := pc.Invokers()[0].Invoke(t.Context(), pc, &message.Message{}, n)
			status := 0
			var f *message.Failure
			if errors.As(err, &f) {
				status = f.Status
			}
			if got := fmt.Sprint(status, len(n.answers), time.Since(begin)); got != fmt.Sprint(c.status, c.left, c.took) {
				t.Errorf("%s: %s, want %d %d %s (%v)", c.name, got, c.status, c.left, c.took, err)
			}
		})
	}
}
