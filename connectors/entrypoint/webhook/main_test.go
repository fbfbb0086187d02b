//go:build !e2e

package webhook

import (
	"testing"

	"github.com/sluice-gateway/sluice/test/fake"
)

func TestMain(m *testing.M) { fake.VerifyNoLeaks(m) }
