package identity

import (
	"testing"

	"github.com/google/uuid"
)

func TestOf_IsVersion5(t *testing.T) {
	t.Parallel()
	want := uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceDNS, []byte("sluice-gateway.github.io")), []byte("a\x00b")).String()
	if got := Of("a", "b"); got != want {
		t.Errorf("Of(a, b) = %s, want %s", got, want)
	}
}

func TestManifest_NeverChanges(t *testing.T) {
	t.Parallel()
	const pinned = "f252444a-4b6d-5af5-94ac-0275bd33bb06"
	if got := Manifest("gravitee", "api-v4"); got != pinned {
		t.Errorf("Manifest(gravitee, api-v4) = %s, want %s: stored APIs would not be found any more", got, pinned)
	}
	if Manifest("", "x") != Manifest("default", "x") || Manifest("a", "x") == Manifest("b", "x") {
		t.Error("an empty namespace must be default, and namespaces must differ")
	}
}
