package httpfront_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
)

var offers = []string{"application/json", "application/xml", "text/plain"}

func TestNegotiate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, accept, want string
	}{
		{"absent", "", "text/plain"},
		{"blank", " , ;q=1", "text/plain"},
		{"named", "application/xml", "application/xml"},
		{"case", "Application/XML", "application/xml"},
		{"parameters", "application/json;charset=utf-8", "application/json"},
		{"any", "*/*", "application/json"},
		{"quality", "application/json;q=0.5, text/plain;q=0.8", "text/plain"},
		{"order decides ties", "text/plain, application/json", "text/plain"},
		{"named goes before any", "*/*, application/xml;q=0.1", "application/xml"},
		{"browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml"},
		{"any after others", "text/html, */*;q=0.1", "application/json"},
		{"kind", "text/*", "text/plain"},
		{"quality 0 refuses", "application/json;q=0, text/plain", "text/plain"},
		{"refused named, any other", "application/json;q=0, */*", ""},
		{"none of ours", "image/png", ""},
		{"bad quality counts as 0", "text/plain;q=high", ""},
		{"quality beyond 1", "text/plain;q=1.5, application/xml;q=0.999", "text/plain"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if i := httpfront.Negotiate([]byte(tt.accept), offers, 0, 2); i >= 0 {
				got = offers[i]
			}
			if got != tt.want {
				t.Errorf("%q: %q, want %q", tt.accept, got, tt.want)
			}
		})
	}
}

func TestWantsJSON(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"": false, "application/json": true, "text/html, */*;q=0.8": true, "application/*": false, "text/plain": false,
		"application/json;q=0": false, "application/jsonx": false, "x/y, Application/Json ;v=1": true,
	} {
		if got := httpfront.WantsJSON([]byte(accept)); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

func TestAccepts_Allocations(t *testing.T) {
	accept := []byte("text/html;level=1;q=0.4, application/json;q=0.3, text/event-stream")
	if n := testing.AllocsPerRun(100, func() { httpfront.Accepts(accept, "text/event-stream") }); n > 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"", "*/*", "text/*;q=0.3,,;;=,a/b;q=1.", "q=1;q=0.0005", "application/json;q=0"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, accept []byte) {
		i := httpfront.Negotiate(accept, offers, 0, 2)
		if i < -1 || i >= len(offers) {
			t.Fatalf("offer %d for %q", i, accept)
		}
		if i >= 0 && len(accept) > 0 && httpfront.Accepts(accept, offers[i]) {
			return
		}
		for _, o := range offers { // what is named is preferred to what is only meant
			if i >= 0 && httpfront.Accepts(accept, o) {
				t.Fatalf("%q names %q but gets %q", accept, o, offers[i])
			}
		}
	})
}
