package brokers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
)

// EndOffsets returns the end of each partition's log, by partition number.
func (k *Kafka) EndOffsets(ctx context.Context, topic string) ([]int64, error) {
	client, err := k.directClient()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	offsets, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err := errors.Join(err, offsets.Error()); err != nil {
		return nil, err
	}
	out := make([]int64, len(offsets[topic]))
	for p, o := range offsets[topic] {
		out[p] = o.Offset
	}
	return out, nil
}
