package websocket

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/valyala/fasthttp"
)

// The extension permessage-deflate (RFC 7692), without context takeover in either direction: each message is compressed by
// itself, so that a connection keeps no compressor, no decompressor and no window between messages.

// minDeflated is from what size on a message is worth compressing, in bytes. It is ours.
const minDeflated = 128

// largestWindow is the window of DEFLATE as an exponent of 2 (RFC 7692 section 7.1.2).
const largestWindow = 15

// deflateTail ends what a sync flush leaves; it is not sent (RFC 7692 section 7.2.1).
const deflateTail = "\x00\x00\xff\xff"

// deflate is what was agreed for one connection.
type deflate struct {
	window int    // the server's, as an exponent of 2
	answer string // the header that accepts the offer
	out    appender
}

// acceptDeflate chooses the first offer that can be kept; nil: there is none.
func acceptDeflate(fctx *fasthttp.RequestCtx) *deflate {
	for _, value := range fctx.Request.Header.PeekAll("Sec-WebSocket-Extensions") {
		for _, offer := range strings.Split(string(value), ",") {
			if d := readOffer(offer); d != nil {
				return d
			}
		}
	}
	return nil
}

// readOffer returns the answer to one offer; nil: it is not one of permessage-deflate, or one to decline (RFC 7692 section 7.1).
func readOffer(offer string) *deflate {
	name, parameters, _ := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return nil
	}
	d := &deflate{window: largestWindow, answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover"}
	seen := map[string]bool{}
	for _, p := range strings.Split(parameters, ";") {
		key, value, valued := strings.Cut(strings.TrimSpace(p), "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"`)
		if key == "" && parameters == "" {
			continue
		}
		if seen[key] {
			return nil
		}
		seen[key] = true
		switch key {
		case "server_no_context_takeover", "client_no_context_takeover":
			if valued {
				return nil
			}
		case "client_max_window_bits": // we can read every window, so there is nothing to ask for
			if valued && windowBits(value) == 0 {
				return nil
			}
		case "server_max_window_bits":
			if d.window = windowBits(value); d.window == 0 {
				return nil
			}
			d.answer += "; server_max_window_bits=" + strconv.Itoa(d.window)
		default:
			return nil
		}
	}
	return d
}

// windowBits reads the size of a window; 0: there is no such window.
func windowBits(value string) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < 8 || n > largestWindow || strconv.Itoa(n) != value {
		return 0
	}
	return n
}

// append appends payload, compressed as one message.
func (d *deflate) append(dst, payload []byte) []byte {
	d.out.b = dst
	if d.window == largestWindow {
		_ = flate.StatelessDeflate(&d.out, payload, false, nil) // appending does not fail
	} else {
		d.appendWindowed(payload)
	}
	dst, d.out.b = d.out.b, nil
	return bytes.TrimSuffix(dst, []byte(deflateTail))
}

// appendWindowed is append for a client that keeps less than the largest window. The compressor is pooled.
func (d *deflate) appendWindowed(payload []byte) {
	pool := &windowed[d.window]
	w, _ := pool.Get().(*flate.Writer)
	if w == nil {
		var err error
		if w, err = flate.NewWriterWindow(&d.out, 1<<d.window); err != nil {
			panic("websocket: windowBits let through a window that DEFLATE does not have: " + err.Error())
		}
	} else {
		w.Reset(&d.out)
	}
	_, _ = w.Write(payload) // as above
	_ = w.Flush()
	w.Reset(io.Discard)
	pool.Put(w)
}

// windowed holds compressors by the size of their window.
var windowed [largestWindow]sync.Pool

// appender is a writer that appends.
type appender struct{ b []byte }

// Write implements io.Writer.
func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// inflater is a decompressor with what it reads from.
type inflater struct {
	src bytes.Reader
	r   io.ReadCloser
}

// inflateTail follows a message: what was not sent of its end, and an empty block that says that it is the last, so that the
// decompressor can tell a message from one that breaks off.
const inflateTail = deflateTail + "\x01\x00\x00\xff\xff"

var inflaters = sync.Pool{New: func() any {
	f := new(inflater)
	f.r = flate.NewReader(&f.src)
	return f
}}

// inflate appends what a compressed message holds, at most limit bytes. It may write behind payload, in its memory.
func inflate(dst, payload []byte, limit int) ([]byte, *closing) {
	f := inflaters.Get().(*inflater)
	defer f.release()
	f.src.Reset(append(payload, inflateTail...))
	if err := f.r.(flate.Resetter).Reset(&f.src, nil); err != nil {
		return dst, &closing{code: codeServerError, reason: reasonError, err: err}
	}
	begun := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := f.r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-begun > limit:
			return dst, fault(codeTooBig, "message is too big")
		case err == io.EOF && f.src.Len() <= len(inflateTail)+1: // a client may end with a last block and a byte (section 7.2.3.4)
			return dst, nil
		case err != nil:
			return dst, fault(codeInvalidData, "message is not compressed as agreed")
		}
	}
}

func (f *inflater) release() {
	f.src.Reset(nil)
	inflaters.Put(f)
}
