package grid

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sluice-gateway/sluice/qos/judge"
)

// mockBroker is the endpoint type mock: it gives every subscriber the same messages, one each millisecond, and throws away
// what is published.
type mockBroker struct{}

// mockMost bounds the messages of a mock: at one each millisecond, it is how long a client needs that begins anew.
const mockMost = 2000

func (mockBroker) open(_ context.Context, name string, _, messages int) (topic, error) {
	return &mockTopic{content: name, count: min(messages, mockMost), streams: 1}, nil
}

func (mockBroker) server() any { return nil }

func (mockBroker) restart(context.Context) error { return errNone }

// mockTopic has one partition, of which the number of a message is its offset. Of several streams, which cannot be told
// apart, the messages are counted together.
type mockTopic struct {
	content string
	count   int
	streams int // each worker has one for a webhook
}

const mockKey = "mock"

func (t *mockTopic) group() object {
	return object{"name": "group", "type": "mock", "endpoints": []object{{"name": "endpoint", "type": "mock",
		"configuration": object{"messageInterval": 1, "messageContent": t.content, "messageCount": t.count}}}}
}

// write notes that there is such a message.
func (t *mockTopic) write(_ context.Context, r *recorder, _ int, m identity, _ []byte) error {
	r.produced(m)
	r.isStored(m, mockKey, m.seq)
	return nil
}

func (*mockTopic) flush(context.Context) error { return nil }

// keeps: mock throws away what it is given.
func (*mockTopic) keeps() bool { return false }

func (*mockTopic) witness(context.Context, *recorder) error { return nil }

func (*mockTopic) cursor(id string) judge.Cursor {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil
	}
	return judge.Cursor{mockKey: n + 1}
}

// identify takes the number from the id; a client that sees none counts.
func (t *mockTopic) identify(text, id string, number int64) (identity, error) {
	if text != t.content {
		return identity{}, fmt.Errorf("a message that mock does not give: %.80q", text)
	}
	if id != "" {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return identity{}, fmt.Errorf("message id %q is no number", id)
		}
		number = n
	}
	return identity{mockKey, number}, nil
}

// watch finds nothing: mock saves nothing.
func (*mockTopic) watch(context.Context, func(judge.Cursor)) error { return nil }

func (t *mockTopic) fixed() int { return t.count * t.streams }

func (*mockTopic) close() {}
