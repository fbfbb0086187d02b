package join

import (
	"errors"
	"strings"
	"testing"
)

func TestParse_RefusesWhatIsNoToken(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, text string
		want       error
	}{
		{"empty", "", ErrToken},
		{"something else", "hello", ErrToken},
		{"too long", prefix + strings.Repeat("A", maxToken), ErrToken},
		{"nothing in it", prefix + "e30", ErrVersion}, // {}
		{"incomplete", Token{Version: 1, Cluster: "c"}.String(), ErrIncomplete},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse(c.text); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestParse_ExternalNeedsNoKeyOfOurNATS: what an external cluster asks for is not in the token.
func TestParse_ExternalNeedsNoKeyOfOurNATS(t *testing.T) {
	t.Parallel()
	want := Token{Cluster: "c", External: true, NATS: []string{"tls://nats.example:4222"}, BundleKey: make([]byte, 32)}
	got, err := Parse(want.String())
	if err != nil || !got.External || got.NATS[0] != want.NATS[0] || got.Seed != "" || got.CA != nil {
		t.Fatalf("%+v %v", got, err)
	}
	want.External = false
	if _, err := Parse(want.String()); !errors.Is(err, ErrIncomplete) {
		t.Fatalf("without external: %v", err)
	}
}

// FuzzParse feeds what a user may paste.
func FuzzParse(f *testing.F) {
	f.Add(prefix + "e30")
	f.Add(Token{Cluster: "c", Seed: "s"}.String())
	f.Add(Token{Cluster: "c", External: true, BundleKey: make([]byte, 32)}.String())
	f.Fuzz(func(t *testing.T, s string) {
		token, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(token.String()); err != nil || again.Cluster != token.Cluster {
			t.Fatalf("%v", err)
		}
	})
}
