package supervise_test

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors/supervise"
)

func TestLogLimit(t *testing.T) {
	t.Parallel()
	var l supervise.LogLimit
	now := time.Unix(1000, 0)
	if !l.Allow(now) || l.Allow(now) || l.Allow(now.Add(time.Second)) || l.Suppressed() != 2 || !l.Allow(now.Add(11*time.Second)) {
		t.Error("one line per 10 s")
	}
}
