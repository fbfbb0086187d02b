//go:build !e2e

package mqttclient

import (
	"testing"

	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
