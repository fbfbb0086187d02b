package flow_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/dataplane/planetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, planetest.IgnoreFasthttp()...) }
