//go:build !e2e

package mqtt5

import (
	"testing"

	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
