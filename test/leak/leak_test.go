package leak_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestCheck_NamesWhatIsLeft(t *testing.T) {
	end := make(chan struct{})
	started := make(chan struct{})
	go func() {
		close(started)
		<-end
	}()
	<-started
	err := leak.Check()
	close(end)
	if err == nil || !strings.Contains(err.Error(), "TestCheck_NamesWhatIsLeft") {
		t.Fatalf("got %v, want the stack of a goroutine of this test", err)
	}
}
