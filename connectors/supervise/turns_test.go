package supervise_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/connectors/supervise"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestTurns_OneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns supervise.Turns
		release, err := turns.Take(t.Context(), "a", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		other, err := turns.Take(t.Context(), "b", 0) // other names do not wait
		if err != nil {
			t.Fatal(err)
		}
		other()
		got := make(chan error, 1)
		go func() {
			second, err := turns.Take(t.Context(), "a", time.Minute)
			got <- err
			second()
		}()
		synctest.Wait()
		if len(got) > 0 {
			t.Fatal("two have the turn")
		}
		release()
		release() // as nothing
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	})
}

func TestTurns_TellsWhyNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns supervise.Turns
		release, err := turns.Take(t.Context(), "a", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var f *message.Failure
		if _, err := turns.Take(t.Context(), "a", time.Second); !errors.As(err, &f) || f.Key != message.KeyClientActive || f.Status != 409 {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := turns.Take(ctx, "a", time.Second); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		release()
		if release, err = turns.Take(t.Context(), "a", 0); err != nil {
			t.Fatal(err)
		}
		release()
	})
}
