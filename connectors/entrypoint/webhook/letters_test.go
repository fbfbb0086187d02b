package webhook

import (
	"context"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// letters is a dead-letter endpoint that answers later, from another goroutine.
type letters struct {
	err error
	mu  sync.Mutex
	all []string
}

func (l *letters) take(_ context.Context, _ *exchange.Exchange, m *message.Message) {
	parts := []string{string(m.Key), string(m.Content)}
	for _, h := range m.Headers {
		parts = append(parts, h.Name+"="+string(h.Value))
	}
	l.mu.Lock()
	l.all = append(l.all, strings.Join(parts, "|"))
	l.mu.Unlock()
	go m.Done(l.err)
}

func (l *letters) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.all...)
}
