package websocket

import (
	"bufio"
	"encoding/binary"
	"io"
	"sync"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
)

// readBytes is the size of a connection's read buffer.
const readBytes = 4 << 10

var readBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBytes) }}

// reader reads a client's frames and puts messages together. What a peer announces is never allocated ahead: the message
// grows with what arrives.
type reader struct {
	src        *bufio.Reader
	maxMessage int // bytes

	inflate bool // permessage-deflate was agreed

	message  *[]byte // payload of the message so far; nil between messages
	op       opcode  // of the message that is being put together
	checked  int     // how much of a text is known to be UTF-8
	deflated bool    // it is compressed
	control  [maxControl]byte
	scratch  [8]byte
}

// header is one frame's.
type header struct {
	fin      bool
	deflated bool
	op       opcode
	size     uint64
	mask     [4]byte
}

func newReader(src io.Reader, maxMessage int, inflate bool) *reader {
	r := &reader{src: readBuffers.Get().(*bufio.Reader), maxMessage: maxMessage, inflate: inflate}
	r.src.Reset(src)
	return r
}

// release gives the buffers back. The reader must not be used afterwards.
func (r *reader) release() {
	r.endMessage()
	r.src.Reset(nil)
	readBuffers.Put(r.src)
}

// next returns the next complete message or control frame. The payload is valid until the next call. An error is a *closing where
// the client broke the protocol, else the connection's.
func (r *reader) next() (opcode, []byte, error) {
	if r.op == 0 {
		r.endMessage() // the one returned before
	}
	for {
		h, err := r.header()
		if err != nil {
			return 0, nil, err
		}
		if h.op >= opClose {
			payload := r.control[:h.size]
			if _, err := io.ReadFull(r.src, payload); err != nil {
				return 0, nil, err
			}
			unmask(payload, h.mask, 0)
			return h.op, payload, nil
		}
		if h.op != opContinuation {
			r.op, r.message = h.op, httpfront.GetBuffer()
			r.checked, r.deflated = 0, h.deflated
		}
		if err := r.payload(h); err != nil {
			return 0, nil, err
		}
		if !h.fin {
			continue
		}
		op := r.op
		r.op = 0
		if r.deflated {
			if err := r.expand(op); err != nil {
				return 0, nil, err
			}
		}
		if op == opText && r.checked < len(*r.message) {
			return 0, nil, fault(codeInvalidData, "text is not UTF-8")
		}
		return op, *r.message, nil
	}
}

// header reads and checks the next frame's header.
func (r *reader) header() (header, error) {
	b := r.scratch[:]
	if _, err := io.ReadFull(r.src, b[:2]); err != nil {
		return header{}, err
	}
	h := header{fin: b[0]&finBit != 0, deflated: b[0]&deflatedBit != 0, op: opcode(b[0] & 0xf), size: uint64(b[1] & lengthBits)}
	if reason := r.refuse(h, b[0]&reservedBits != 0, b[1]&maskBit != 0); reason != "" {
		return h, fault(codeProtocol, reason)
	}
	switch h.size {
	case payload16:
		if _, err := io.ReadFull(r.src, b[:2]); err != nil {
			return h, err
		}
		h.size = uint64(binary.BigEndian.Uint16(b[:]))
	case payload64:
		if _, err := io.ReadFull(r.src, b); err != nil {
			return h, err
		}
		h.size = binary.BigEndian.Uint64(b[:])
	}
	if _, err := io.ReadFull(r.src, b[:4]); err != nil {
		return h, err
	}
	copy(h.mask[:], b)
	if h.op < opClose && h.size > uint64(r.limit(h)-r.length()) {
		return h, fault(codeTooBig, "message is too big")
	}
	return h, nil
}

// limit is how many bytes the message of h may arrive as. Compressing what cannot be compressed makes it longer.
func (r *reader) limit(h header) int {
	if h.deflated || h.op == opContinuation && r.deflated {
		return r.maxMessage + r.maxMessage/1024 + 64
	}
	return r.maxMessage
}

func fault(code int, reason string) *closing {
	return &closing{code: code, reason: reason, fault: true}
}

// length returns the bytes of the unfinished message that have arrived.
func (r *reader) length() int {
	if r.op == 0 {
		return 0
	}
	return len(*r.message)
}

// refuse returns what is wrong with a frame's first two bytes; empty: nothing.
func (r *reader) refuse(h header, reserved, masked bool) string {
	switch {
	case reserved, h.deflated && (!r.inflate || h.op == opContinuation || h.op >= opClose):
		return "reserved bit is set"
	case !masked:
		return "frame is not masked"
	case h.op >= opClose && h.op <= opPong:
		if !h.fin {
			return "control frame is fragmented"
		}
		if h.size > maxControl {
			return "control frame is too long"
		}
		return ""
	case h.op > opBinary:
		return "opcode is reserved"
	case h.op == opContinuation && r.op == 0:
		return "continuation of nothing"
	case h.op != opContinuation && r.op != 0:
		return "message begins inside another"
	}
	return ""
}

// payload reads a data frame's payload behind what the message holds. Text is checked as it arrives.
func (r *reader) payload(h header) error {
	buf := *r.message
	defer func() { *r.message = buf }()
	for at := 0; uint64(at) < h.size; {
		if _, err := r.src.Peek(1); err != nil {
			return unexpected(err)
		}
		n := int(min(uint64(r.src.Buffered()), h.size-uint64(at)))
		part, err := r.src.Peek(n)
		if err != nil {
			return err
		}
		start := len(buf)
		buf = append(buf, part...)
		_, _ = r.src.Discard(n) // they are buffered
		unmask(buf[start:], h.mask, at)
		at += n
		if r.op == opText && !r.deflated {
			var ok bool
			if r.checked, ok = validText(buf, r.checked); !ok {
				return fault(codeInvalidData, "text is not UTF-8")
			}
		}
	}
	return nil
}

// expand replaces a compressed message by what it holds.
func (r *reader) expand(op opcode) error {
	out := httpfront.GetBuffer()
	var bad *closing
	*out, bad = inflate(*out, *r.message, r.maxMessage)
	httpfront.PutBuffer(r.message)
	r.message, r.deflated = out, false
	if bad != nil {
		return bad
	}
	if op == opText {
		var ok bool
		if r.checked, ok = validText(*out, 0); !ok {
			return fault(codeInvalidData, "text is not UTF-8")
		}
	}
	return nil
}

func (r *reader) endMessage() {
	if r.message != nil {
		httpfront.PutBuffer(r.message)
		r.message = nil
	}
}

// unexpected makes the end of the connection inside a frame an error of its own.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
