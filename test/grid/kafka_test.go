//go:build e2e

package grid

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/test/brokers"
)

// TestReal_KafkaCheckpoints saves offsets as a gateway does and wants to be told of those of the topic only.
func TestReal_KafkaCheckpoints(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	defer end()
	b := &kafkaBroker{kafka: brokers.StartKafka(t, brokers.KafkaConfig{}), endpoint: "kafka"}
	mine, err := b.open(ctx, "mine", 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer mine.close()
	other, err := b.open(ctx, "other", 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	admin := kadm.NewClient(mine.(*kafkaTopic).client)
	save := func(group, topic string, at map[int32]int64) {
		t.Helper()
		offsets := kadm.Offsets{}
		for p, o := range at {
			offsets.AddOffset(topic, p, o, -1)
		}
		if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	save("one", "other", map[int32]int64{0: 9})
	save("two", "mine", map[int32]int64{0: 5, 2: 0})
	told := make(chan judge.Cursor, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- mine.watch(ctx, func(at judge.Cursor) {
			select {
			case told <- at:
			default:
			}
		})
	}()
	await := func(want judge.Cursor) {
		t.Helper()
		for at := range told { // the test's timeout ends it
			if cmp.Equal(at, want) {
				return
			}
		}
	}
	await(judge.Cursor{"0": 5, "2": 0})
	save("two", "mine", map[int32]int64{0: 7})
	await(judge.Cursor{"0": 7, "2": 0})
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
