package grid

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/qos/judge"
)

// broker is an endpoint type in a World.
type broker interface {
	// open makes a fresh topic with partitions, or as many topics, for about so many messages.
	open(ctx context.Context, name string, partitions, messages int) (topic, error)
	// restart ends the broker as a power cut would and starts it again; errNone: there is none.
	restart(ctx context.Context) error
	// server is what restart restarts; several endpoint types may have the same.
	server() any
}

// errNone is what a mock answers to faults of a broker.
var errNone = errors.New("this endpoint has no broker")

// topic is what one run writes and reads. It is used from many goroutines.
type topic interface {
	// group is the definition's endpoint group.
	group() object
	// write hands a message to the broker and notes in r what becomes of it. It may return before that is known. Messages
	// of a key keep their order.
	write(ctx context.Context, r *recorder, partition int, m identity, body []byte) error
	// flush returns when everything written is noted.
	flush(ctx context.Context) error
	// keeps tells whether what is published can be read again.
	keeps() bool
	// witness notes in r everything that the log holds as delivered to log, and to the log's subscriber of its partition.
	witness(ctx context.Context, r *recorder) error
	// cursor is what a client's resume point says; nil: nothing.
	cursor(id string) judge.Cursor
	// identify reads what a message is from its text, its id where the client sees one, and its number on its connection.
	identify(text, id string, number int64) (identity, error)
	// watch tells checkpoints of the topic as they are saved, until ctx ends; where none are visible it returns at once.
	watch(ctx context.Context, saved func(judge.Cursor)) error
	// fixed is how many messages there are where they come by themselves and cannot be added to; 0: they can.
	fixed() int
	close()
}

// Text of a message: the key, the number, and filling up to a size.
func body(m identity, size int) []byte {
	b := make([]byte, 0, size)
	b = append(append(b, m.key...), ' ')
	b = append(strconv.AppendInt(b, m.seq, 10), ' ')
	for len(b) < size {
		b = append(b, '.')
	}
	return b
}

// parse reads what body wrote.
func parse(text string) (identity, error) {
	key, rest, ok := strings.Cut(text, " ")
	number, _, ok2 := strings.Cut(rest, " ")
	seq, err := strconv.ParseInt(number, 10, 64)
	if !ok || !ok2 || err != nil {
		return identity{}, fmt.Errorf("a message that nobody here wrote: %.80q", text)
	}
	return identity{key, seq}, nil
}
