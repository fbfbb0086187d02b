package callout_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
