package websocket

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
)

// parser puts a client's frames and messages together from whatever pieces they arrive in. A frame that is whole in one piece
// is used where it lies; what is not finished has a buffer, and between messages there is none. What a peer announces is
// never allocated ahead: the message grows with what arrives.
type parser struct {
	maxMessage int  // bytes
	inflate    bool // permessage-deflate was agreed

	begun    [maxHeader]byte // of a frame whose header is not complete
	size     uint8           // of begun
	payload  bool            // the header is complete, h is the frame
	op       opcode          // of the message that is being put together; 0: none is
	deflated bool            // it is compressed
	h        header
	at       int     // how much of the frame's payload has come
	message  *[]byte // payload of the message so far; nil: none has come
	checked  int     // how much of a text is known to be UTF-8
	control  []byte  // payload so far of a control frame that came in pieces
}

// maxHeader is the size of the longest frame header, in bytes (RFC 6455 section 5.2).
const maxHeader = 14

// header is one frame's.
type header struct {
	fin      bool
	deflated bool
	op       opcode
	mask     [4]byte
	size     int
}

// release gives the buffer back. The parser must not be used afterwards.
func (r *parser) release() {
	r.endMessage()
	r.control = nil
}

// next takes the first n bytes of p, which it may change. op and payload are the message or control frame that they complete;
// op 0: none. The payload is valid until done. bad: the client broke the protocol.
func (r *parser) next(p []byte) (n int, op opcode, payload []byte, bad *closing) {
	for {
		if !r.payload {
			used, bad := r.header(p[n:])
			if n += used; bad != nil || !r.payload {
				return n, 0, nil, bad
			}
		}
		part := p[n:min(len(p), n+r.h.size-r.at)]
		n += len(part)
		unmask(part, r.h.mask, r.at)
		r.at += len(part)
		whole := r.at == r.h.size
		if len(part) == 0 && !whole {
			return n, 0, nil, nil
		}
		if r.h.op >= opClose {
			op, payload = r.takeControl(part, whole)
		} else {
			op, payload, bad = r.takeData(part, whole)
		}
		if whole {
			r.payload, r.size, r.at = false, 0, 0
		}
		if op != 0 || bad != nil || n == len(p) {
			return n, op, payload, bad
		}
	}
}

// done ends the use of what next returned.
func (r *parser) done() {
	if r.op == 0 {
		r.endMessage()
	}
	if !r.payload {
		r.control = nil
	}
}

// header takes bytes of a frame's header and checks them.
func (r *parser) header(p []byte) (used int, bad *closing) {
	for {
		need := 2
		if r.size >= 2 {
			need = headerSize(r.begun[1])
		}
		got := copy(r.begun[r.size:need], p[used:])
		used += got
		if r.size += uint8(got); int(r.size) < need {
			return used, nil
		}
		b := r.begun[:need]
		if need > 2 {
			return used, r.begin(b)
		}
		r.h = header{fin: b[0]&finBit != 0, deflated: b[0]&deflatedBit != 0, op: opcode(b[0] & 0xf)}
		if reason := r.refuse(b[0]&reservedBits != 0, b[1]&maskBit != 0, int(b[1]&lengthBits)); reason != "" {
			return used, fault(codeProtocol, reason)
		}
	}
}

// headerSize returns the size of a client's header, by its second byte.
func headerSize(second byte) int {
	switch second & lengthBits {
	case payload16:
		return 8
	case payload64:
		return maxHeader
	}
	return 6
}

// begin begins the payload of the frame with the header b.
func (r *parser) begin(b []byte) *closing {
	size := uint64(b[1] & lengthBits)
	switch size {
	case payload16:
		size = uint64(binary.BigEndian.Uint16(b[2:]))
	case payload64:
		size = binary.BigEndian.Uint64(b[2:])
	}
	copy(r.h.mask[:], b[len(b)-4:])
	if r.h.op < opClose && size > uint64(r.limit()-r.length()) {
		return fault(codeTooBig, "message is too big")
	}
	r.h.size, r.payload = int(size), true
	if r.h.op != opContinuation && r.h.op < opClose {
		r.op, r.checked, r.deflated = r.h.op, 0, r.h.deflated
	}
	return nil
}

// limit is how many bytes the message of the frame may arrive as. Compressing what cannot be compressed makes it longer.
func (r *parser) limit() int {
	if r.h.deflated || r.h.op == opContinuation && r.deflated {
		return r.maxMessage + r.maxMessage/1024 + 64
	}
	return r.maxMessage
}

func fault(code int, reason string) *closing {
	return &closing{code: code, reason: reason, fault: true}
}

// length returns the bytes of the unfinished message that have arrived.
func (r *parser) length() int {
	if r.message == nil {
		return 0
	}
	return len(*r.message)
}

// refuse returns what is wrong with a frame's first two bytes; empty: nothing.
func (r *parser) refuse(reserved, masked bool, size int) string {
	h := r.h
	switch {
	case reserved, h.deflated && (!r.inflate || h.op == opContinuation || h.op >= opClose):
		return "reserved bit is set"
	case !masked:
		return "frame is not masked"
	case h.op >= opClose && h.op <= opPong:
		if !h.fin {
			return "control frame is fragmented"
		}
		if size > maxControl {
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

// takeControl takes a part of a control frame; whole: the last.
func (r *parser) takeControl(part []byte, whole bool) (opcode, []byte) {
	if whole && len(r.control) == 0 {
		return r.h.op, part
	}
	r.control = append(r.control, part...)
	if !whole {
		return 0, nil
	}
	return r.h.op, r.control
}

// takeData takes a part of a data frame; whole: the last.
func (r *parser) takeData(part []byte, whole bool) (opcode, []byte, *closing) {
	last := whole && r.h.fin
	if last && r.message == nil && !r.deflated { // all of the message
		if r.op == opText && !utf8.Valid(part) {
			return 0, nil, fault(codeInvalidData, notText)
		}
		return r.finish(), part, nil
	}
	if r.message == nil {
		r.message = httpfront.GetBuffer()
	}
	*r.message = append(*r.message, part...)
	if bad := r.check(); bad != nil || !last {
		return 0, nil, bad
	}
	if r.deflated {
		if bad := r.expand(); bad != nil {
			return 0, nil, bad
		}
	}
	if r.op == opText && r.checked < len(*r.message) {
		return 0, nil, fault(codeInvalidData, notText)
	}
	return r.finish(), *r.message, nil
}

const notText = "text is not UTF-8"

// finish ends the message and returns its kind.
func (r *parser) finish() opcode {
	op := r.op
	r.op = 0
	return op
}

// check judges a text as it arrives.
func (r *parser) check() *closing {
	if r.op != opText || r.deflated {
		return nil
	}
	var ok bool
	if r.checked, ok = validText(*r.message, r.checked); !ok {
		return fault(codeInvalidData, notText)
	}
	return nil
}

// expand replaces a compressed message by what it holds.
func (r *parser) expand() *closing {
	out := httpfront.GetBuffer()
	var bad *closing
	*out, bad = inflate(*out, *r.message, r.maxMessage)
	httpfront.PutBuffer(r.message)
	r.message, r.deflated = out, false
	if bad != nil {
		return bad
	}
	return r.check()
}

func (r *parser) endMessage() {
	if r.message != nil {
		httpfront.PutBuffer(r.message)
		r.message = nil
	}
}
