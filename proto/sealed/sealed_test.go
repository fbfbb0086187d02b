package sealed_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/proto/sealed"
)

func key(t *testing.T, text string) *sealed.Key {
	t.Helper()
	k, err := sealed.NewKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKey_OpensWhatItSealed(t *testing.T) {
	t.Parallel()
	k, other := key(t, strings.Repeat("a", 32)), key(t, strings.Repeat("b", 32))
	for _, value := range []string{"", "secret", strings.Repeat("long ", 1000)} {
		text := k.Seal("name", value)
		if got, err := k.Open("name", text); got != value || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if value != "" && strings.Contains(text, value) || k.Seal("name", value) != text || k.Seal("other", value) == text {
			t.Errorf("sealed %q", text)
		}
		if _, err := other.Open("name", text); !errors.Is(err, sealed.ErrSealed) {
			t.Errorf("with another key: %v", err)
		}
		if _, err := k.Open("other", text); !errors.Is(err, sealed.ErrSealed) {
			t.Errorf("of another property: %v", err)
		}
	}
}

// TestKey_Golden: a later version opens what this one sealed.
func TestKey_Golden(t *testing.T) {
	t.Parallel()
	const text = "v1:HpyFJQ3koAaguHI2wr2KOYrU+eyAaWParxdl9HneQBkp"
	if got := key(t, strings.Repeat("k", 32)).Seal("name", "value"); got != text {
		t.Errorf("sealed %s", got)
	}
}

func TestNewKey_Refuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", strings.Repeat("a", 31), strings.Repeat("a", 40) + "\n"} {
		if _, err := sealed.NewKey(text); !errors.Is(err, sealed.ErrKey) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k, err := sealed.NewKey(strings.Repeat("k", 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("name", k.Seal("name", "value"))
	f.Add("", "v1:")
	f.Add("n", "v1:AAAA")
	f.Fuzz(func(t *testing.T, name, text string) {
		if value, err := k.Open(name, text); err == nil && k.Seal(name, value) != text {
			t.Errorf("%q opened to %q, which is sealed otherwise", text, value)
		}
	})
}
