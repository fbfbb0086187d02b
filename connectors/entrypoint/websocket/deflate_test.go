package websocket_test

import (
	"bytes"
	"compress/flate"
	"strings"
	"testing"

	lib "github.com/fasthttp/websocket"

	"github.com/sluice-gateway/sluice/qos/message"
	"github.com/sluice-gateway/sluice/test/fake"
)

const compressing = `{"compression":{"enabled":true}}`

// deflated compresses with the standard library, as a client does (RFC 7692 section 7.2.1).
func deflated(text string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write([]byte(text))
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// bomb is what n zeros are compressed to.
func bomb(n int) string { return deflated(strings.Repeat("\x00", n)) }

func TestDeflate_Offers(t *testing.T) {
	t.Parallel()
	const plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	tests := []struct{ name, offer, want string }{
		{"none", "", ""},
		{"another", "x-webkit-deflate-frame", ""},
		{"plain", "permessage-deflate", plain},
		{"as browsers offer it", "permessage-deflate; client_max_window_bits", plain},
		{"all", `permessage-deflate; client_max_window_bits=10; server_max_window_bits="9"; client_no_context_takeover; server_no_context_takeover`,
			plain + "; server_max_window_bits=9"},
		{"the second", "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=8", plain + "; server_max_window_bits=8"},
		{"unknown parameter", "permessage-deflate; x=1", ""},
		{"twice", "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", ""},
		{"value where none belongs", "permessage-deflate; server_no_context_takeover=1", ""},
		{"no window", "permessage-deflate; server_max_window_bits", ""},
		{"leading zero", "permessage-deflate; server_max_window_bits=09", ""},
		{"too large", "permessage-deflate; client_max_window_bits=16", ""},
		{"empty parameter", "permessage-deflate;", plain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for cfg, want := range map[string]string{compressing: tt.want, "": ""} {
				resp, _ := fake.Serve(t, build(t, cfg), &fake.Backend{}).Do(upgrade + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: " + tt.offer + "\r\n\r\n")
				if got := resp.Header.Get("Sec-WebSocket-Extensions"); resp.StatusCode != 101 || got != want {
					t.Errorf("%d %q, want %q", resp.StatusCode, got, want)
				}
			}
		})
	}
}

// Both directions through the library, which compresses by itself; also in sluice.v1.
func TestDeflate_Echo(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"", "sluice.v1"} {
		s := fake.Serve(t, build(t, compressing), echo())
		d := lib.Dialer{EnableCompression: true}
		if protocol != "" {
			d.Subprotocols = []string{protocol}
		}
		c, resp, err := d.Dial("ws://"+s.Addr+"/", nil)
		if err != nil || resp.Header.Get("Sec-WebSocket-Extensions") == "" {
			t.Fatal(err, resp)
		}
		defer c.Close()
		for _, content := range []string{"", "x", strings.Repeat("€", 20_000), strings.Repeat("0123456789", 50)} {
			if protocol != "" {
				sendV1(c, `{"type":"publish","ref":"r","content":"%s"}`, content)
				f := nextV1(t, c)
				if f.Type == "published" {
					f = nextV1(t, c)
				} else if g := nextV1(t, c); g.Type != "published" {
					t.Errorf("%+v", g)
				}
				if *f.Content != content {
					t.Errorf("%.100q", *f.Content)
				}
				continue
			}
			_ = c.WriteMessage(lib.TextMessage, []byte(content))
			if kind, got, err := c.ReadMessage(); err != nil || kind != lib.TextMessage || string(got) != content {
				t.Errorf("%d %.100q %v", kind, got, err)
			}
		}
	}
}

// Only messages that get shorter are compressed.
func TestDeflate_Frames(t *testing.T) {
	t.Parallel()
	sub := fake.NewSubscription()
	c := dialWith(t, fake.Serve(t, build(t, compressing), sub.Backend()), "Sec-WebSocket-Extensions: permessage-deflate\r\n")
	sub.Push(message.Message{Content: []byte("short")}, message.Message{Content: []byte(strings.Repeat("x", 1000))})
	if f := c.next(); f != "81 short" {
		t.Errorf("%q", f)
	}
	if f := c.next(); !strings.HasPrefix(f, "c1 ") || len(f) > 50 {
		t.Errorf("%q", f)
	}
}

func TestDeflate_BreaksOfTheProtocol(t *testing.T) {
	t.Parallel()
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00" // RFC 7692 section 7.2.3.1
	tests := []struct{ name, send, want string }{
		{"not compressed", frame(0xc1, "\xff\xff\xff"), "88 1007 message is not compressed as agreed"},
		{"broken off", frame(0xc1, hello[:3]), "88 1007 message is not compressed as agreed"},
		{"goes on after the last block", frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"+hello), "88 1007 message is not compressed as agreed"},
		{"compressed ping", frame(0xc9, ""), "88 1002 reserved bit is set"},
		{"compressed continuation", frame(0x41, hello) + frame(0xc0, ""), "88 1002 reserved bit is set"},
		{"RSV2", frame(0xa1, "x"), "88 1002 reserved bit is set"},
		{"bomb", frame(0xc1, bomb(64<<10+1)), "88 1009 message is too big"},
		{"text that is none", frame(0xc1, deflated("a\xff")), "88 1007 text is not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := dialWith(t, fake.Serve(t, build(t, compressing), &fake.Backend{}), "Sec-WebSocket-Extensions: permessage-deflate\r\n")
			c.send(tt.send)
			if got := c.next(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	t.Run("as in the RFC", func(t *testing.T) {
		t.Parallel()
		b, got := published()
		c := dialWith(t, fake.Serve(t, build(t, compressing), b), "Sec-WebSocket-Extensions: permessage-deflate\r\n")
		c.send(frame(0xc1, hello), // one block
			frame(0x41, hello[:3])+frame(0x89, "x")+frame(0x80, hello[3:]), // in two frames
			frame(0xc1, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),    // stored
			frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),                // with a last block
			frame(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"))
		for range 5 {
			if g := <-got; g != "Hello" {
				t.Errorf("%q", g)
			}
		}
	})
}
