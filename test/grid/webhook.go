package grid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
)

// receiver is a program that webhooks call: it subscribes by the management API, and takes what both workers bring. A call
// that it answers with 2xx is delivered, and proved by that. Where the level repeats nothing every call is delivered, whatever
// the answer, so that none may come twice.
type receiver struct {
	ctx     context.Context // of the run; handlers end with it
	session *session
	pause   time.Duration // of a slow one, before each answer

	mu    sync.Mutex // guards the following, and session
	calls int
}

func newReceiver(Cell) subscriberDriver { return &receiver{pause: receiverPause} }

// Behaviour of slow receivers.
const (
	receiverPause = 20 * time.Millisecond // before each answer: less than messages come, with as many calls at a time as there are keys
	refuseEvery   = 100                   // calls, of which the last is answered with 503
)

// connect serves one subscription until ctx ends. The subscription's id is the run's name; one cannot be made twice.
func (d *receiver) connect(ctx context.Context, _ string, s *session) error {
	d.ctx, d.session = ctx, s
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: d, ReadHeaderTimeout: answerWithin}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	err = d.subscribe(ctx, "http://"+ln.Addr().String()+"/")
	if err == nil {
		d.begin()
		<-ctx.Done()
	} else if ctx.Err() == nil {
		s.fatal = err
	}
	err = errors.Join(err, s.unsubscribe(context.WithoutCancel(ctx)), server.Close())
	if end := <-ended; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	d.mu.Lock() // a handler that was under way has noted what it got
	defer d.mu.Unlock()
	return err
}

// begin notes that delivery runs; what came before has noted it already.
func (d *receiver) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.session.open {
		d.session.begin()
	}
}

// pushPlan is the id of the plan of the API at path.
func pushPlan(path string) string { return strings.Trim(path, "/") + "-plan" }

func (s *session) subscription() string { return "/v4/apis/" + s.run.id + "/subscriptions/" }

// subscribe returns when every worker delivers.
func (d *receiver) subscribe(ctx context.Context, url string) error {
	s := d.session
	body, err := json.Marshal(object{"id": s.client, "planId": pushPlan(s.run.path), "consumerConfiguration": object{
		"entrypointId": s.run.cell.Entrypoint, "entrypointConfiguration": object{"callbackUrl": url, "retry": object{
			"retryOption": "Retry On Fail", "retryStrategy": "LINEAR", "maxAttempts": 3, "initialDelaySeconds": 1, "maxDelaySeconds": 2}}}})
	if err != nil {
		return err
	}
	node := s.run.world.node()
	a, err := node.Do(ctx, http.MethodPost, strings.TrimSuffix(s.subscription(), "/"), body)
	if err != nil {
		return err
	}
	if a.Status != http.StatusCreated {
		return fmt.Errorf("subscribe: %d %s", a.Status, a.Body)
	}
	var last []byte
	err = s.run.await(ctx, stallWithin/2, func() bool {
		a, err := node.Do(ctx, http.MethodGet, s.subscription()+s.client, nil)
		var view struct{ Workers []struct{ State string } }
		if last = a.Body; err != nil || json.Unmarshal(a.Body, &view) != nil {
			return false
		}
		running := 0
		for _, w := range view.Workers {
			if w.State == "RUNNING" {
				running++
			}
		}
		return running == workers
	})
	if shared, ok := s.run.topic.(interface {
		isShared(context.Context, int) bool
	}); ok && err == nil {
		err = s.run.await(ctx, stallWithin/2, func() bool { return shared.isShared(ctx, workers) })
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("the subscription does not run on every worker: %w: %s", err, last)
	}
	return err
}

func (s *session) unsubscribe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := s.run.world.node().Do(ctx, http.MethodPost, s.subscription()+s.client+"/_close", nil)
	return err
}

// ServeHTTP implements http.Handler.
func (d *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	text, err := io.ReadAll(io.LimitReader(q.Body, maxPageBytes))
	if err != nil {
		return // who called has died
	}
	slow := d.session.run.slow.Load()
	if slow {
		pause(d.ctx, d.pause)
	}
	status := http.StatusNoContent
	switch err := d.take(string(text), q.Header.Values("sluice-gap"), slow); {
	case errors.Is(err, errUnwilling):
		status = http.StatusServiceUnavailable
	case err != nil:
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
}

// errUnwilling: the receiver does not take a message now.
var errUnwilling = errors.New("the receiver refuses a call")

// take notes a call.
func (d *receiver) take(text string, gaps []string, slow bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, level := d.session, d.session.run.cell.level()
	if d.ctx.Err() != nil {
		return d.ctx.Err() // the run is over
	}
	if !s.open {
		s.begin()
	}
	for _, gap := range gaps {
		tellCutGap(s, gap)
	}
	var answer error
	if d.calls++; slow && d.calls%refuseEvery == 0 {
		answer = errUnwilling
	}
	if answer != nil && (level == qos.Auto || level == qos.AtLeastOnce) {
		return answer
	}
	m, err := s.run.topic.identify(text, "", s.number)
	if err != nil {
		s.run.note(err)
		return err
	}
	s.number++
	s.run.record.delivered(s.as, m)
	if s.run.watched {
		s.run.record.tell(s.as, judge.Event{Kind: judge.Acked, Key: m.key, Seq: m.seq})
	}
	return answer
}
