package mqttclient

import (
	"testing"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestPageCursor_NamesWhatItIsOf(t *testing.T) {
	t.Parallel()
	of := func(id uint16, topic, content string) pageCursor {
		var s sum
		s.add(7, &message.Message{Topic: "t", Content: []byte("first")})
		s.add(id, &message.Message{Topic: topic, Content: []byte(content)})
		return s.cursor()
	}
	want := of(8, "t", "second")
	got, ok := parsePage(string(want.append(nil)))
	if !ok || got != want || got.n != 2 {
		t.Fatalf("%+v, %v", got, ok)
	}
	for _, other := range []pageCursor{of(9, "t", "second"), of(8, "u", "second"), of(8, "t", "third"), of(8, "ts", "econd")} {
		if other == want {
			t.Error("a page of other messages has the same cursor")
		}
	}
	if none := string((&sum{}).cursor().append(nil)); none != "page.0" {
		t.Error(none)
	}
}

func TestPageCursor_RefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "page", "page.", "page.x", "page.-1", "page.1", "page.1.", "page.0.AAAAAAAAAAAAAAAA", "page.1.AAAAAAAAAAAAAAA",
		"page.1.AAAAAAAAAAAAAAA*", "page.1.AAAAAAAAAAAA\nAAAA", "page.65536.AAAAAAAAAAAAAAAA", "page.1.AAAAAAAAAAAAAAAA.1", "orders@0#1"} {
		if c, ok := parsePage(text); ok {
			t.Errorf("%q: %+v", text, c)
		}
	}
}

func FuzzPageCursor(f *testing.F) {
	f.Add("page.0")
	f.Add("page.12.AAAAAAAAAAAAAAAA")
	f.Add("page.012.AAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := parsePage(text)
		if !ok {
			return
		}
		if again, ok := parsePage(string(c.append(nil))); !ok || again != c {
			t.Fatalf("%q: %+v, then %+v", text, c, again)
		}
	})
}

// TestSubscribe_CursorsOfPages: none but a page of a client that can come back has a page to name.
func TestSubscribe_CursorsOfPages(t *testing.T) {
	t.Parallel()
	e := run(t, config("127.0.0.1:1", "t", ""), connectors.Limits{})
	for _, tc := range []struct {
		name string
		x    *exchange.Exchange
		o    connectors.SubscribeOptions
	}{
		{"a stream", named(qos.Auto, "a"), connectors.SubscribeOptions{Cursor: "page.0"}},
		{"nobody", level(qos.Auto), connectors.SubscribeOptions{Cursor: "page.0", Page: true}},
		{"a position", named(qos.Auto, "a"), connectors.SubscribeOptions{Cursor: "t@0#1", Page: true}},
		{"no cursor of ours", named(qos.Auto, "a"), connectors.SubscribeOptions{Cursor: "page.1", Page: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := trySubscribe(t, e, tc.x, tc.o)
			failed(t, err, statusBadCursor, message.KeyInvalidCursor)
		})
	}
}
